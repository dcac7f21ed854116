# How often each variant succeeds under every optimizer and learning rate: a map for each.
load 'common.gp'
# Every row is a cell of a map; maps, x and y count from 0.
rates = 0; optimizers = 0; maps = 0; widest = 7; array names[all_rows]; array lr[all_rows]; array optimizer[all_rows]
stats 'rows.tsv' using (i = int(cell('x')) + 1, lr[i] = strcol('lr'), rates = max(rates, i), \
  i = int(cell('y')) + 1, optimizer[i] = strcol('optimizer'), optimizers = max(optimizers, i), \
  i = int(cell('map')) + 1, names[i] = strcol('sized'), maps = max(maps, i), \
  widest = max(widest, strlen(strcol('optimizer'))), 0) nooutput

left = 28 + character * widest; top = 80; gap = 74
map_width = 100 * rates; map_height = 82 * optimizers
across = int(max(1, min(maps, floor(800 / (map_width + left))))); right = across * (map_width + left)
eval(canvas('grid', max(right + 90, 480), top - 10 + (maps + across - 1) / across * (map_height + gap)))
eval(heading('Success rate'.on_scene, \
  sprintf('%s after %s steps; seeds a cell: %d', success_text(success), about('steps'), seeds)))
eval('set palette defined '.viridis)
set cbrange [0:100]; set cbtics 0,50,100 scale 0.4 offset -0.5,0; set format cb '%g %%'
set colorbox user origin screen (right + 14) / width, screen 1 - (top + map_height) / height \
  size screen 13 / width, screen map_height / height
set xrange [-0.5:rates - 0.5]; set yrange [optimizers - 0.5:-0.5]; set tics scale 0
set xtics (); set for [i=1:rates] xtics add (lr[i] i - 1); set ytics (); set for [i=1:optimizers] ytics add (optimizer[i] i - 1)
set xlabel 'learning rate' offset 0,0.4; set title offset 0,-0.4

x(map) = column('map') == map ? here(column('x')) : NaN
ink(name) = column(name) > 42 ? 0x000000 : 0xffffff  # whichever stands out more, by WCAG's contrast
note(low, high) = sprintf('%.0f–%.0f %%', column(low), column(high)).text(strcol('mishaps'))
do for [m=0:maps-1] {
  eval(place(left + m % across * (map_width + left), top + m / across * (map_height + gap), map_width, map_height))
  set title names[m + 1]
  plot 'rows.tsv' using (x(m)):'y':(0.5):(0.5):'rate' with boxxyerror fs solid border lc rgb 'white' fc palette, \
       '' using (x(m)):'y':(sprintf('%.4g %%', column('rate'))):(ink('rate')) with labels textcolor rgb variable offset 0,1, \
       '' using (x(m)):'y':(note('low', 'high')):(ink('rate')) with labels textcolor rgb variable offset 0,-0.1 font small
  unset colorbox; unset label
}
