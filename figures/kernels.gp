# What was learned: every parameter of the run that the panel shows, K x K numbers for a and for b, beside its variant.
load 'common.gp'
side = 1; sets = 0; tiles = 0
stats 'kernels.tsv' using (sets = max(sets, column('set') + 1), tiles = max(tiles, column('tile') + 1), side = max(side, column('x') + 1), 0) nooutput
array largest[sets]; do for [i=1:sets] { largest[i] = 0 }
stats 'kernels.tsv' using (i = 1 + int(column('set')), largest[i] = max(largest[i], abs(cell('value'))), 0) nooutput
share(v) = (i = 1 + int(column('set')), largest[i] > 0 ? v / largest[i] : 0)
digits(v) = v != v ? '–' : abs(v) < 0.005 ? '0' : (v < 0 ? '−' : '').sprintf(abs(v) < 9.995 ? '%.2f' : abs(v) < 999.5 ? '%.0f' : 'e%.0f', abs(v) < 999.5 ? abs(v) : floor(log10(abs(v))))

cell_width = side > 1 ? 120 / max(3, side) : 56; cell_height = side > 1 ? 78 / max(3, side) : 24
gap = max(0.3 * side, 30.0 / cell_width); left = 30 + character * widest; top = 58; stride = side * cell_height + 32
eval(canvas('kernels', max(left + tiles * (side + gap) * cell_width + 10, 600), top + rows * stride))
eval(heading('What was learned'.on_scene, (seeds > 1 ? 'by the seed of median final loss; ' : '').'red above 0, blue below, the darkest the largest of its parameter'.(tiles < 9 ? '' : '; of each row at most nine')))
eval(place(left, top, tiles * (side + gap) * cell_width, rows * stride)); unset border; unset tics; unset colorbox
set xrange [0:tiles * (side + gap) * cell_width]; set yrange [rows * stride:0]
eval('set palette defined '.blue_red); set cbrange [-1.7:1.7]           # so that numbers can be read on it
across = "(column('tile') * (side + gap) + column('x')) * cell_width"
down = "(column('place') - 1) * stride + 20 + column('y') * cell_height"
do for [i=1:rows] { set label name[i] at -12, (i - 1) * stride + 20 + side * cell_height / 2.0 right tc rgb colour[i] }
plot 'kernels.tsv' using (x = @across):(y = @down):(x):(x + cell_width):(y):(y + cell_height):(share(column('value'))) \
       with boxxyerror fs solid border lc rgb '#bbbbbb' fc palette, \
     for [k=1:(side <= 3)] '' using (@across + 0.5 * cell_width):(@down + 0.5 * cell_height):(digits(cell('value'))) \
       with labels font small, \
     '' using (column('x') + column('y') == 0 ? @across : NaN):(@down - 9):'title' with labels left font small tc rgb grey
