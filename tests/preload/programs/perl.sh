#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Perl: strings that grow, hashes, sorting, regular expressions, fork, and interpreter threads, each
# of which clones a heap full of small blocks and frees it from another thread.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need perl

cat >work.pl <<'PERL'
use strict;
use warnings;
use List::Util qw(sum);
use Storable qw(dclone freeze thaw);
use Digest::SHA qw(sha256_hex);

my (%words, $text);
for my $i (1 .. 200_000) {
    my $word = sprintf "%x", $i * 2654435761 % 4294967296;
    $words{substr $word, 0, 4} += length $word;
    $text .= "$word ";
}
print scalar(keys %words), " ", sum(values %words), " ", length $text, "\n";
my @sorted = sort { $words{$a} <=> $words{$b} || $a cmp $b } keys %words;
print sha256_hex("@sorted"), "\n";
(my $changed = $text) =~ s/([0-9]+)([a-f]+)/<$2:$1>/g;
print sha256_hex($changed), " ", scalar(() = $changed =~ /<a/g), "\n";
my $copy = thaw freeze dclone \%words;
delete @$copy{grep { $words{$_} > 30 } keys %$copy};
print scalar(keys %$copy), "\n";

# Children that allocate and free what the parent left them, four at a time.
for my $round (1 .. 4) {
    my @pipes;
    for my $child (1 .. 4) {
        pipe(my $read, my $write) or die "pipe: $!";
        defined(my $pid = fork) or die "fork: $!";
        if ($pid == 0) {
            my @parts = split / /, $text;
            %words = ();
            print $write "$round $child ", sha256_hex(join ",", reverse @parts), "\n";
            close $write;
            exit $child;
        }
        close $write;
        push @pipes, [$read, $pid, $child];
    }
    for (@pipes) {
        my ($read, $pid, $child) = @$_;
        print <$read>;
        waitpid $pid, 0;
        $? == $child << 8 or die "child $child: status $?";
    }
}
PERL
compare fork perl work.pl

cat >threads.pl <<'PERL'
use strict;
use warnings;
use threads;
use threads::shared;

my %shared : shared;
my @own = map { "own $_" x ($_ % 50) } 1 .. 20_000;

sub work {
    my $n = shift;
    my %local = map { $_ => "$n:$_" x 3 } 1 .. 10_000;
    delete @local{grep { $_ % 3 == 0 } keys %local};
    @own = map { uc } @own[grep { $_ % 2 } 0 .. $#own];
    lock %shared;
    $shared{$n} = shared_clone([scalar keys %local, length join "", @own]);
    return map { "$n/$_" } 1 .. 1000;
}

for my $round (0 .. 3) {
    my @threads = map { threads->create({context => "list"}, \&work, $round * 4 + $_) } 1 .. 4;
    print join(",", (sort $_->join)[0 .. 4]), "\n" for @threads;
}
print "$_: @{$shared{$_}}\n" for sort { $a <=> $b } keys %shared;
PERL
if perl -Mthreads -e 1 2>/dev/null; then
	compare threads perl threads.pl
else
	note "this perl is built without threads"
fi

witnessed perl
