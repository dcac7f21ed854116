# What became of the runs of each row: how many succeeded, did not, ended with an output of 0, or diverged.
load 'common.gp'
names = '"success" "no success" "output vanished" "diverged"'
fills = '#007a5a #dddddd #e69f00 #5c1a1a'  # as different in grey as in colour
inks = 'white black black white'
widest = 8; stats 'outcomes.tsv' using (widest = max(widest, strlen(strcol('row'))), 0) nooutput
n = int(STATS_records); left = 30 + character * widest; top = 62; plot_width = 520
eval(canvas('outcomes', left + plot_width + 40, top + 28 * n + 74))
eval(place(left, top, plot_width, 28 * n))
eval(heading('What became of the runs'.on_scene, effort.'; success: '.success_text(success)))
set border 1; set xrange [0:100]; set xtics 0,25,100; set format x '%g %%'; set yrange [n + 0.5:0.5]; unset ytics
set key at graph 0, screen 10 / height left bottom horizontal Left reverse samplen 1 width 1

# Columns 3 to 6 are outcomes; before(k) is where that of column k begins.
percent(k) = 100.0 * column(k) / max(1, column(3) + column(4) + column(5) + column(6))
before(k) = k == 3 ? 0 : before(k - 1) + percent(k - 1)
middle(k) = before(k) + percent(k) / 2
count(k) = column(k) > 0 && percent(k) / 100 * plot_width > character * strlen(strcol(k)) ? strcol(k) : ''
plot for [k=3:6] 'outcomes.tsv' using (middle(k)):'place':(before(k)):(before(k) + percent(k)): \
       (column('place') - 0.38):(column('place') + 0.38) with boxxyerror fs solid border lc rgb 'white' \
       fc rgb word(fills, k - 2) title word(names, k - 2), \
     for [k=3:6] '' using (middle(k)):'place':(count(k)) with labels font small textcolor rgb word(inks, k - 2) notitle, \
     '' using (0):'place':'row' with labels right offset -1,0 textcolor rgb dark notitle
