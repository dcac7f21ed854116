# The price of multiplication: the relative error against the number of parameters and the time that training takes.
load 'common.gp'
panels = about('first split') eq about('last split') ? 2 : 4
left = 84; top = 88; plot_width = 340; plot_height = 250
eval(canvas('price', left + 2 * plot_width + 148, top + panels / 2 * (plot_height + 72) + 10 + line * key_lines(plot_width)))
eval(heading('The price of multiplication'.on_scene, effort.'; median and quartiles; a line joins networks of one width, '. \
  'from the shallowest to the deepest, which is labelled: depth × width'))
eval(key_below(plot_width)); set key at screen left / width, screen 10 / height
do for [i=0:panels-1] {
  abscissa = i % 2 ? 'seconds' : 'parameters'
  error = i < 2 ? 'first' : 'last'; bottom = error.'_q1'; end = error.'_q3'
  eval(place(left + i % 2 * (plot_width + 64), top + i / 2 * (plot_height + 72), plot_width, plot_height))
  eval(forget); stats 'rows.tsv' using (column('scene') > 1 ? 0 : (see(cell(abscissa)), 0)) nooutput
  eval(log_axis('x', plot_width)); left_end = low
  eval(forget); most = 100; seen = see(1)                  # whatever is even more wrong would squeeze the others
  stats 'rows.tsv' using (column('scene') > 1 ? 0 : (see(cell(error)), see(cell(bottom)), see(cell(end)), 0)) nooutput
  eval(log_axis('y', plot_height))
  if (i % 2) { eval(ends); set label 'output ≡ 0' at graph 1.01, first 1 font small }
  set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead dt (2,4) lc rgb dark
  set title 'Error on '.joined(split_text(about(error.' split')), ' ')
  set xlabel (i + 2 < panels ? '' : i % 2 ? 'training time of a seed in seconds' : 'parameters')
  set ylabel (i % 2 ? '' : 'relative error'); x(name) = here(max(cell(name), left_end))
  plot 'rows.tsv' using (x(abscissa)):(at(error)):'colour' with lines lw 0.7 lc rgb variable, \
       '' using (x(abscissa)):(at(error)):(at(bottom)):(at(end)):'colour' with yerrorbars pt 0 lw 1.2 lc rgb variable, \
       '' using (x(abscissa)):(at(error)):(strcol('size') eq '-' ? 1.4*dot : 0.8*dot):'point':'colour' \
         with points ps variable pt variable lw 1.2 lc rgb variable, \
       for [k=1:1 - i % 2] '' using (strcol('label') eq '-' ? NaN : x(abscissa)):(at(end)):'label' \
         with labels boxed offset 0,0.7 font small, \
       for [k=1:(i == panels - 1 ? rows : 0)] NaN with points pt point[k] ps 1.1*dot lw 1.6 lc rgb colour[k] title variant[k]
  unset label
}
