# The final losses of all seeds as boxes over dots, and the success rate with its 95 % interval: a line for each row.
load 'common.gp'
# Neither a wild outlier nor a tiny floor may squeeze the boxes.
outcome(count) = sprintf('%d of %d', count, column('runs')).text(strcol('mishaps'))
positive(v) = v > 0 ? v : 1e300
nothing = fact('loss of 0'); seen = see(nothing); least = 1e300; largest = 0; widest_outcome = 7; widest = 8; n = 0
stats 'rows.tsv' using (column('scene') > 1 ? 0 : (see(cell('loss')), see(cell('q1')), see(cell('q3')), n = n + 1, \
  least = min(least, min(positive(cell('min')), positive(cell('floor')))), \
  largest = max(largest, max(cell('max'), cell('floor'))), widest = max(widest, strlen(strcol('row'))), \
  widest_outcome = max(widest_outcome, longest(outcome(cell('success')))), 0)) nooutput
seen = high > 0 ? 0 : see(least); low = max(low / 100, min(low, least)); high = min(high * 100, max(high, largest)); zero = 0

left = 26 + character * widest; top = 44; losses = 380; rates = 150; right = left + losses + 40
box_height = (n <= 8 ? 56 : 42) * n
eval(canvas('distribution', right + rates + character * widest_outcome + 24, top + box_height + 112))
set yrange [n + 0.5:0.5]; unset ytics
eval(place(left, top, losses, box_height)); eval(log_axis('x', losses))
set label 'Box: quartiles and median. Whiskers: extremes. Dots: seeds. Dashed: best possible loss. Dotted: output ≡ 0.' \
  at screen 14 / width, screen 16 / height font small textcolor rgb grey
set title 'Final loss'.on_scene; set xlabel loss_text
jitter(i) = 0.1 + 0.26 * (0.618034 * i - floor(0.618034 * i))
plot 'dots.tsv' using (at('loss')):(column('place') + jitter(column(0))):(0xA0000000 + column('colour')) \
       with points pt 7 ps 0.3*dot lc rgb variable, \
     'rows.tsv' using (nothing > 0 ? nothing : NaN):(up(0.5)):(0):(1) with vectors nohead dt (2,4) lc rgb dark, \
     '' using (at('min')):(up(0.14)):(at('max') - at('min')):(0):'colour' with vectors nohead lw 1.2 lc rgb variable, \
     '' using (at('loss')):(up(0.14)):(at('q1')):(at('q3')):(up(0.32)):(up(-0.04)):'colour' \
       with boxxyerror fs solid 0.35 border lw 1.2 lc rgb variable, \
     '' using (at('loss')):(up(0.32)):(0):(0.36):'colour' with vectors nohead lw 2.4 lc rgb variable, \
     '' using (cell('floor') > 0 ? at('floor') : NaN):(up(0.42)):(0):(0.84) \
       with vectors nohead lw 1.4 dt (4,3) lc rgb 'black', \
     '' using (low):(up(0)):'row' with labels right offset -1,0 textcolor rgb dark

unset label; unset logscale
eval(place(right, top, rates, box_height))
set title 'Success rate'; set xlabel "% of seeds with\n".success_text(success)
set xrange [-4:104]; set xtics 0,50,100
plot 'rows.tsv' using 'rate':(up(0)):'low':'high':'colour' with xerrorbars pt 7 ps 0.8*dot lw 1.6 lc rgb variable, \
     '' using (104):(up(0)):(outcome(column('success'))) with labels left offset 1,0 textcolor rgb dark
