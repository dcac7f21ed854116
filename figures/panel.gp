# The images a, b and their product, what the best row of every variant makes of them, and where it is wrong.
load 'common.gp'
# panel.f32 holds the maps that panel.tsv lists: cells_x * cells_y numbers each, from the top left.
maps = 3 + 2 * rows; array least[maps]; array largest[maps]; array titles[maps] = ['a', 'b', 'target '.about('product')]
stats 'panel.tsv' using (i = int($0) + 1, least[i] = column('low'), largest[i] = column('high'), \
  cells_x = column('width'), cells_y = column('height'), 0) nooutput
array table[4] = ["variant\n", "loss\n", "best possible\n", "relative error\n"]
stats 'rows.tsv' using (@shown ? (i = int(column('unit')), loss = cell('seed_loss'), error = cell('seed_error'), \
  setting = about('grid') > 0 ? strcol('optimizer').', lr '.strcol('lr').', ' : '', \
  titles[2 + 2*i] = variant[i].': '.(loss == loss ? 'loss '.number(loss) : 'diverged')."\n".setting.'seed '.strcol('seed'), \
  titles[3 + 2*i] = variant[i].': output − target', \
  table[1] = table[1]."\n".name[i], table[2] = table[2]."\n".number(loss), table[3] = table[3]."\n".number(cell('floor')), \
  table[4] = table[4]."\n".(abs(error) < 1e300 ? sprintf('%.1f %%', 100 * error) : '–'), 0) : 0) nooutput
table[1] = table[1]."\n\nnorm of ".goal.': '.number(fact('norm')).(seeds > 1 ? "\nshown: the seed of median final loss" : ''). \
  (about('scenes') > 1 ? "\nscene: ".about('scene') : '')

# Up to six maps side by side, shaped like the image; below a line of outputs is the line of their errors, and below a, b
# and the target a table.
image_x = fact('width'); image_y = fact('height'); longer = max(image_x, image_y)
map_width = max(12, 210 * image_x / longer); map_height = max(12, 210 * image_y / longer); bar = max(map_height, 105)
columns = int(min(6, 3 + rows)); stride = max(map_width, 168) + 26; left = 44
top(l) = 51 + l * (bar + 81) + (l > 1 ? max(0, 20 * (rows + 6) - 24 - bar) : 0)
eval(canvas('panel', left + columns * stride + 60, top(2 * ((2 + rows) / columns + 1)) - 47))
table_top = 1 - (top(1) + 8) / height
set label table[1] at screen left / width, screen table_top
set for [k=2:4] label table[k] at screen (left + word('1.4 2.15 2.85', k - 1) * stride) / width, screen table_top right
set border lw 0.7; set title offset 0,-0.5; set cbtics scale 0.4 offset -0.5,0
set xrange [-0.5:cells_x - 0.5]; set yrange [cells_y - 0.5:-0.5]
cell_at(pixel, cells, image) = (floor(pixel) + 0.5) * cells / image - 0.5
set xtics ('0' cell_at(0, cells_x, image_x)) offset 0,0.3
if (map_width > 60) set xtics add (sprintf('%d', image_x / 2) cell_at(image_x / 2, cells_x, image_x))
set object 1 rectangle from graph 0,0 to graph 1,1 behind fc rgb '#808080' fs solid noborder  # where a pixel is no number
do for [i=1:maps] {
  k = i < 4 ? i - 1 : i / 2 + 1                     # an output and its error are in the same place of their lines
  is_error = i > 3 && i % 2; l = 2 * (k / columns) + is_error; c = k % columns
  eval(place(left + c * stride + (stride - 26 - map_width) / 2, top(l), map_width, map_height))
  set ytics ((c > 0 ? '' : '0') cell_at(0, cells_y, image_y)) offset 0.5,0
  if (map_height > 60) { set ytics add ((c > 0 ? '' : sprintf('%d', image_y / 2)) cell_at(image_y / 2, cells_y, image_y)) }
  eval('set palette defined '.(is_error ? blue_red : viridis)); unset colorbox
  if (c == columns - 1) { set colorbox user origin screen (left + columns * stride - 14) / width, \
    screen 1 - (top(l) + bar) / height size screen 13 / width, screen bar / height }
  set cbrange [least[i]:largest[i]]; set title titles[i]
  plot 'panel.f32' binary skip=4*(i-1)*cells_x*cells_y array=(cells_x,cells_y) format='%float32' with image
  unset label
}
