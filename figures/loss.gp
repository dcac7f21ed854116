# Training loss against the step: a line for the best row of every variant; of many seeds the median within its quartiles.
load 'common.gp'
# What diverges, or starts far away, leaves through the top. More than six bands would hide each other.
banded = seeds > 1 && rows <= 6; array end[rows]; array best[rows]; array titles[rows]; array order[rows]; array y[rows]; array tail[rows]; ceiling = fact('loss of 0')
stats 'loss.tsv' using (see(cell('q1')), see(cell('q3')), tail[int(column(-1)) + 1] = cell('median'), 0) nooutput  # of a block the last
stats 'rows.tsv' using (@shown ? (i = int(column('unit')), end[i] = cell('loss'), best[i] = cell('floor'), see(best[i]), \
  ceiling = max(ceiling, cell('q3')), titles[i] = name[i].': '.number(end[i]).joined(text(strcol('mishaps')), ', ').(best[i] > 0 ? ', best possible '.number(best[i]).' (dashed)' : ''), \
  widest = max(widest, strlen(titles[i]))) : 0) nooutput
zero = 0; if (ceiling > 0 && 10 * ceiling > low) high = min(high, 10 * ceiling)

# A line's name stands at its right end; where ends are close, names make room. Without an end, on top.
right_end(i) = tail[i] == tail[i] && end[i] == end[i] ? tail[i] : 1e301
above(i, k) = right_end(i) > right_end(k) || (right_end(i) == right_end(k) && i < k)
do for [k=1:rows] { order[1 + int(sum [i=1:rows] above(i, k))] = k }
from_top(i) = plot_height * log(high / inside(right_end(i))) / log(high / low)

left = 78; top = 46; plot_width = 500; plot_height = max(294, 2 * line * rows)
eval(canvas('loss', left + plot_width + 34 + character * widest, top + plot_height + 64))
eval(place(left, top, plot_width, plot_height))
eval(log_axis('y', plot_height))
do for [k=1:rows] { y[k] = max(from_top(order[k]), k > 1 ? y[k-1] + line : 0) }
do for [k=rows:1:-1] { y[k] = min(y[k], k < rows ? y[k+1] - line : plot_height)
  set arrow from graph 1, screen 1 - (top + from_top(order[k])) / height to screen (left + plot_width + 18) / width, \
    screen 1 - (top + y[k]) / height nohead lc rgb colour[order[k]]
  set label titles[order[k]] at screen (left + plot_width + 22) / width, screen 1 - (top + y[k]) / height tc rgb colour[order[k]] }
set title 'Training loss'.on_scene.(seeds > 1 ? sprintf(': median of %d seeds', seeds) : '').(banded ? ', band from quartile to quartile' : '')
set xlabel 'step'; set ylabel loss_text; set border 3; set grid xtics
steps = max(1, fact('steps')); set xrange [-0.01 * steps:steps]
set label (seeds > 1 ? 'median final loss' : 'final loss') at screen (left + plot_width + 22) / width, screen 1 - 18 / height font small tc rgb grey

# loss.tsv has a block for each of the rows shown. A `for` over no band would count as a plot and shift the points.
bands = !banded ? '' : "for [i=1:rows] 'loss.tsv' every :::i-1::i-1 using 'step':(at('q1')):(at('q3')) ". \
  "with filledcurves fs transparent solid (rows > 4 ? 0.16 : 0.25) noborder lc rgb colour[i], "
plot @bands \
     for [k=1:rows] 'loss.tsv' every :::order[k]-1::order[k]-1 using 'step':'median' with linespoints \
       lc rgb colour[order[k]] lw 2 pt point[order[k]] ps 0.8*dot pn 9, \
     for [i=1:rows] (best[i] > 0 ? best[i] : NaN) with lines lc rgb 'black' lw 1.4 dt (10,6)
