# SPDX-License-Identifier: BSD-2-Clause
# complete.fish LINES: see complete.sh. Of a setting that has values, fish offers those at once.
source completions/oomreclaim.fish
while read -l line
    set -l found (complete -C $line | string replace -r '\t.*' '' | sort -u)
    if string match -qr -- '--conf \w+$' $line
        set found (string replace -r ':.*' ':' -- $found | sort -u)
    end
    echo "$line => "(string replace -r '\S+$' '' -- $line)"$found"
end <$argv[1]
