# SPDX-License-Identifier: BSD-2-Clause
# Completion of oomreclaim(1) for fish. What it offers as settings and processes the command itself says.

function __oomreclaim_needs_command
    test (count (commandline -opc)) -eq 1
end

function __oomreclaim_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# True while the words so far are options of run: then the program's name is next.
function __oomreclaim_needs_program
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] run check; or return 1
    set -e words[1..2]
    while set -q words[1]
        switch $words[1]
            case --conf --policy --limit --library --as --data --reserve
                set -e words[1]
                set -q words[1]; and set -e words[1]
            case --
                set -e words[1]
                break
            case '-*'
                set -e words[1]
            case '*'
                return 1
        end
    end
    not set -q words[1]
end

function __oomreclaim_settings
    set -l before (string replace -rf '(.*,).*' '$1' -- (commandline -ct | string replace -r '^--conf=' ''))
    oomreclaim conf --keys 2>/dev/null | while read -d \t -l key range meaning
        set -l values (string split '|' -- $range | string match -rv '[ N]')
        if set -q values[1]
            for value in $values
                printf '%s%s:%s\t%s\n' "$before" $key $value $meaning
            end
        else
            printf '%s%s:\t%s (%s)\n' "$before" $key $meaning $range
        end
    end
end

function __oomreclaim_processes
    oomreclaim top -n 1 2>/dev/null | string replace -rf '^ *([0-9]+) .* (\S+)$' '$1\t$2'
end

complete -c oomreclaim -f
complete -c oomreclaim -n __oomreclaim_needs_command -a run -d 'Start a program on the library'
complete -c oomreclaim -n __oomreclaim_needs_command -a check -d 'Would the library work in a program'
complete -c oomreclaim -n __oomreclaim_needs_command -a conf -d 'List all settings'
complete -c oomreclaim -n __oomreclaim_needs_command -a top -d 'Watch processes'
complete -c oomreclaim -n __oomreclaim_needs_command -a stat -d 'Print the statistics of processes'
complete -c oomreclaim -n __oomreclaim_needs_command -a export -d 'Serve the statistics to Prometheus'
complete -c oomreclaim -n '__oomreclaim_is export' -l listen -x -d 'Address and port'
complete -c oomreclaim -n __oomreclaim_needs_command -a ctl -d 'Tell a process what to do'
complete -c oomreclaim -n __oomreclaim_needs_command -a symbolize -d 'Functions and lines for the places of a report'
complete -c oomreclaim -n '__oomreclaim_is symbolize' -l pid -x -a '(__oomreclaim_processes)' -d 'Where names have no directory'
complete -c oomreclaim -n '__oomreclaim_is symbolize' -F
complete -c oomreclaim -n __oomreclaim_needs_command -l version -d 'Print the version'
complete -c oomreclaim -l help -d 'Print help'

set -l run '__oomreclaim_is run; and __oomreclaim_needs_program'
complete -c oomreclaim -n $run -l limit -x -a auto -d 'The most that the heap maps'
complete -c oomreclaim -n $run -l total -x -d 'The most that all processes below it have together'
complete -c oomreclaim -n $run -l as -x -d RLIMIT_AS
complete -c oomreclaim -n $run -l data -x -d RLIMIT_DATA
complete -c oomreclaim -n $run -l policy -x -a 'return abort kill' -d 'What happens at the end'
complete -c oomreclaim -n $run -l reserve -x -d 'Memory set aside for callbacks'
complete -c oomreclaim -n $run -l conf -x -a '(__oomreclaim_settings)' -d Settings
complete -c oomreclaim -n $run -l stats -d 'For top and stat to read'
complete -c oomreclaim -n $run -l control -d 'For ctl to tell it what to do'
complete -c oomreclaim -n $run -l post-mortem -d 'Stay beside it, and say at its end what was known'
complete -c oomreclaim -n $run -l debug -d 'The debug library, and a report for every failure'
complete -c oomreclaim -n $run -l library -r -F -d 'Another library'
complete -c oomreclaim -n __oomreclaim_needs_program -a '(__fish_complete_command)'
complete -c oomreclaim -n '__oomreclaim_is run; and not __oomreclaim_needs_program' -F

complete -c oomreclaim -n '__oomreclaim_is conf' -l conf -x -a '(__oomreclaim_settings)' -d Settings
complete -c oomreclaim -n '__oomreclaim_is conf' -l json -d 'A list of objects'
complete -c oomreclaim -n '__oomreclaim_is conf' -l keys -d 'With tabulators'

complete -c oomreclaim -n '__oomreclaim_is top' -s d -l delay -x -d 'Seconds between two looks'
complete -c oomreclaim -n '__oomreclaim_is top' -s n -l count -x -d 'Ends after so many'
complete -c oomreclaim -n '__oomreclaim_is stat' -l json -d 'As JSON'
complete -c oomreclaim -n '__oomreclaim_is stat' -l events -d 'What has happened last'
complete -c oomreclaim -n '__oomreclaim_is stat' -l prometheus -d 'For the textfile collector'
complete -c oomreclaim -n '__oomreclaim_is top stat' -a '(__oomreclaim_processes)'

function __oomreclaim_word
    __oomreclaim_is ctl; and test (count (commandline -opc)) -eq $argv[1]
end
complete -c oomreclaim -n '__oomreclaim_is ctl' -l wait -x -d 'For the answer'
complete -c oomreclaim -n '__oomreclaim_word 2' -a '(__oomreclaim_processes)'
complete -c oomreclaim -n '__oomreclaim_word 3' -a 'reclaim limit high policy callback report dump verbose'
complete -c oomreclaim -n '__oomreclaim_word 4' -a 'off on return abort kill'
