#!/usr/bin/perl
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
#
# dkim_verify.pl KEY MESSAGE
# Verifies the DKIM signature of a message with the public key of a file that
# opendkim-genkey wrote, in place of DNS.  Prints "h=" the signed header names
# and "result=" the verdict; exit 0 when it passes.
use strict;
use warnings;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS;

my ($key_file, $message_file) = @ARGV;

sub slurp {
	my ($path) = @_;
	open my $in, '<:raw', $path or die "$path: $!\n";
	local $/;
	return scalar <$in>;
}

my $record = join '', slurp($key_file) =~ /"([^"]*)"/g;
{
	no warnings 'redefine';
	*Mail::DKIM::DNS::query = sub {
		my ($name) = @_;
		return Net::DNS::RR->new(owner => $name, type => 'TXT',
		    txtdata => [unpack '(A255)*', $record]);
	};
}

my $verifier = Mail::DKIM::Verifier->new;
$verifier->PRINT(slurp($message_file));
$verifier->CLOSE;
for my $signature ($verifier->signatures) {
	print 'h=', join(':', map { lc } split /\s*:\s*/,
	    $signature->headerlist), "\n";
}
print 'result=', $verifier->result_detail, "\n";
exit($verifier->result eq 'pass' ? 0 : 1);
