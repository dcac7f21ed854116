# Is it multiplication? The relative errors of the best row of every variant on scenes that it was not trained on.
load 'common.gp'
seen = see(2) + see(success / 3)  # leaves room for the line at 1
stats 'heldout.tsv' using (see(cell('q1')), see(2 * cell('median')), see(2 * cell('q3')), splits = int(cell('place')), 0) nooutput

about_seeds = seeds > 1 ? sprintf('median and quartiles of %d seeds', seeds) : ''
about_all = (about('scenes') > 1 ? about('scene').(seeds > 1 ? ': ' : '') : '').about_seeds
left = 86; top = about_all eq '' ? 46 : 64; plot_width = 570
eval(canvas('heldout', 760, top + 346 + line * (3 + lines(about('tested on')) + key_lines(plot_width))))
eval(place(left, top, plot_width, 300))
zero = 0; eval(log_axis('y', 300)); eval(key_below(plot_width))
set title "Is it multiplication?  Relative error on scenes never trained on".(about_all eq '' ? '' : "\n").about_all
set ylabel 'relative error  ‖output − '.goal.'‖₂ / ‖'.goal.'‖₂'
set border 3; set xtics scale 0; set xrange [0.5:splits + 0.5]
do for [i=1:splits - 1] { set arrow from i + 0.5, graph 0 to i + 0.5, graph 1 nohead back @faint }
set arrow from graph 0, first 1 to graph 1, first 1 nohead dt (2,4) lc rgb dark
close = success > 0 && log(1 / success) < 0.1 * log(high / low)  # one label would hide the other
set label 'output ≡ 0' at graph 1.01, first 1 offset 0,(close ? 0.9 : 0) font small
if (success > 0) { set arrow from graph 0, first success to graph 1, first success nohead dt (10,6); \
                   set label sprintf("success\n≤ %.3g", success) at graph 1.01, first success font small }

# heldout.tsv has a block for each row, drawn side by side; with numbers of two digits while there is room for them.
beside(i) = column('place') + min(0.3, 0.75 / rows) * (i - (rows + 1) / 2.0)
unit(v) = 10 ** (floor(log10(v)) - 1)
above(v) = v == v ? inside(v) : low
digits(v) = v != v ? '–' : v >= 1e300 ? '∞' : v >= 1e7 || v < 9.95 ? sprintf('%.2g', v) : \
  sprintf('%.0f', unit(v) * floor(v / unit(v) + 0.5))
tick(split) = split."\n".split_text(split).(split eq 'outside' ? ",\n".about('tested on') : ''). \
  (column('scenes') > 1 ? sprintf("\n%d scenes", column('scenes')) : '')
plot 'heldout.tsv' every :::0::0 using 'place':(low):xtic(tick(strcol('split'))) with dots lc rgb 'white', \
     for [i=1:(seeds > 1 ? rows : 0)] '' every :::i-1::i-1 using (beside(i)):(at('median')):(at('q1')):(at('q3')) \
       with yerrorbars pt 0 lw 1.6 lc rgb colour[i], \
     for [i=1:rows] '' every :::i-1::i-1 using (beside(i)):(at('median')) \
       with points pt point[i] ps 1.1*dot lw 1.6 lc rgb colour[i] title name[i], \
     for [i=1:rows] '' every :::i-1::i-1 using (beside(i)):(rows <= 3 || !(cell('median') < 1e300) ? above(cell('q3')) : NaN):(digits(cell('median'))) \
       with labels boxed offset 0,0.7 font small
