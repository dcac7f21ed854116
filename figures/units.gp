# What the best row of every variant makes of each scene: a panel for each number, a column for each scene.
load 'common.gp'
column_width = 64; tick_lines = 1; any_step = 0; any_sparsity = 0
stats 'scenes.tsv' using (column_width = max(column_width, character * longest(strcol('text')) + 4), \
  tick_lines = max(tick_lines, lines(strcol('text'))), other_split = joined(split_text(strcol('split')), ' '), \
  other_rule = success_text(cell('success')), 0) nooutput
scenes = int(STATS_records); split = joined(split_text(about('last split')), ' '); rule = success_text(success)
split = split eq other_split ? split : split.' / '.other_split
rule = rule eq other_rule ? rule : rule.' on '.about('scene').', '.other_rule.' on the others'
stats 'rows.tsv' using (column('unit') > 0 ? (any_step = any_step || cell('step') > 0, \
  any_sparsity = any_sparsity || cell('sparsity') > 0) : 0) nooutput

left = 70; top = 84; panel_height = 130; plot_width = max(600, scenes * column_width)
eval(canvas('units', left + plot_width + 84, \
  top + 172 * (2 + any_step + any_sparsity) - 10 + line * (tick_lines + key_lines(plot_width))))
eval(heading('What each variant makes of each scene: range trained on → range tested on', effort.'; success: '.rule))
eval(key_below(plot_width)); unset xtics; set xrange [0.5:scenes + 0.5]
do for [i=1:scenes-1] { set arrow from i + 0.5, graph 0 to i + 0.5, graph 1 nohead lw 0.7 lc rgb '#a0a0a0' }

beside(unit) = unit > 0 ? column('scene') + min(0.16, 0.84 / rows) * (unit - (rows + 1) / 2.0) : NaN
do for [panel in 'rate '.(any_step ? 'step ' : '').(any_sparsity ? 'sparsity ' : '').'last'] {
  eval(place(left, top, plot_width, panel_height)); eval(forget); bottom = panel; end = panel
  set label (panel eq 'rate' ? 'Success rate in % and its 95 % interval' : \
             panel eq 'step' ? 'Step of first success, median over the seeds that had one' : \
             panel eq 'sparsity' ? 'Sparsity error, median over the seeds that succeeded' : \
             'Relative error on '.split.': median and quartiles') at graph 0, graph 1.11
  if (panel eq 'rate') {
    bottom = 'low'; end = 'high'; low = -5; high = 105; set yrange [low:high]; set ytics 0,50,100; set grid ytics @faint
  } else {
    if (panel eq 'last') {
      bottom = 'last_q1'; end = 'last_q3'; most = 1e4; seen = see(1)  # whatever is even more wrong would squeeze the others
      set arrow from graph 0, first 1 to graph 1, first 1 nohead dt (2,4) lc rgb dark
      set label 'output ≡ 0' at graph 1.01, first 1 font small; set xtics scale 0
    }
    stats 'rows.tsv' using (column('unit') > 0 ? (see(cell(panel)), see(cell(bottom)), see(cell(end))) : 0) nooutput
    eval(log_axis('y', panel_height)); eval(ends)
  }
  plot 'scenes.tsv' using (column(0) + 1):(low):xtic(strcol('text')) with dots lc rgb 'white', \
       for [i=1:(bottom ne end)] 'rows.tsv' using (beside(column('unit'))):(at(panel)):(at(bottom)):(at(end)):'colour' \
         with yerrorbars pt 0 lw 1.4 lc rgb variable, \
       'rows.tsv' using (beside(column('unit'))):(at(panel)):'point':'colour' \
         with points pt variable ps 1.2*dot lw 1.4 lc rgb variable, \
       for [i=1:(panel eq 'last' ? rows : 0)] NaN with points pt point[i] ps 1.2*dot lw 1.4 lc rgb colour[i] title variant[i]
  unset label; top = top + 172
}
