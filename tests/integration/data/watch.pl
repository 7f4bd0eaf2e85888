#!/usr/bin/perl
# watch.pl OUT PATH...: until it is stopped, appends to OUT how long each PATH led nowhere.
# A link counts by what it leads to. Perl, because a host has it before any package is there.
use strict;
use warnings;
use IO::Handle;
use Time::HiRes qw(sleep time);

my ($out, @paths) = @ARGV;
open(my $file, '>', $out) or die "$out: $!";
$file->autoflush(1);
my %since;
print $file "begin\n";
while (1) {
    for my $path (@paths) {
        my $at = time;
        if (-x $path) {
            printf $file "%s %.3f\n", $path, $at - delete $since{$path} if $since{$path};
        }
        elsif (!$since{$path}) {
            $since{$path} = $at;
        }
    }
    sleep 0.01;
}
