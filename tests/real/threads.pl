# SPDX-License-Identifier: Apache-2.0
# Perl's threads in all the ways they wait: shared values, queues, conditions, semaphores, sockets, pipes. It prints the same every time.
use strict;
use warnings;
no warnings 'threads';
use threads;
use threads::shared;
use IO::Socket::INET;
use IO::Select;
use Thread::Queue;
use Thread::Semaphore;
use Time::HiRes;

$| = 1;

# Work and results over queues.
my ($work, $results) = (Thread::Queue->new, Thread::Queue->new);
my @workers = map { threads->create(sub {
  my $done = 0;
  while (defined(my $number = $work->dequeue)) { $results->enqueue($number * $number); $done++; }
  return $done;
}) } 1 .. 10;
$work->enqueue($_) for 1 .. 200;
$work->end;
my $done = 0;
$done += $_->join for @workers;
my $sum = 0;
$sum += $results->dequeue for 1 .. 200;
print "queues $done $sum\n";

# Turns over a condition, a counter under a lock, a semaphore that few may hold.
my $turn :shared = 0;
my @order :shared;
my @turning = map { my $me = $_; threads->create(sub {
  lock($turn);
  cond_wait($turn) until $turn == $me;
  push @order, $me;
  $turn++;
  cond_broadcast($turn);
}) } 0 .. 14;
$_->join for @turning;
print "order @order\n";
my ($count, $inside, $most) :shared = (0, 0, 0);
my $few = Thread::Semaphore->new(3);
my @counting = map { threads->create(sub {
  for (1 .. 30) {
    $few->down;
    { lock($inside); $inside++; $most = $inside if $inside > $most; }
    { lock($count); $count++; }
    { lock($inside); $inside--; }
    $few->up;
  }
}) } 1 .. 10;
$_->join for @counting;
print "count $count ", ($most <= 3 ? 'few' : 'many'), "\n";
my $never :shared;
{ lock($never); print 'limit ', (cond_timedwait($never, Time::HiRes::time() + 0.05) ? 'woken' : 'over'), "\n"; }

# A server with a thread for each connection, and clients in threads.
my $server = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
my $port = $server->sockport;
my $accepting = threads->create(sub {
  for (1 .. 30) {
    my $client = $server->accept or die;
    threads->create(sub {
      while (my $line = <$client>) {
        chomp $line;
        print {$client} ($line eq 'large' ? 'x' x 300_000 : scalar reverse $line), "\n";
        $client->flush;
      }
      close $client;
    })->detach;
    close $client;
  }
});
my @clients = map { my $me = $_; threads->create(sub {
  my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp') or return -1000;
  my $right = 0;
  for my $round (1 .. 20) {
    print {$socket} "$me $round\n";
    chomp(my $line = <$socket>);
    $right++ if $line eq reverse "$me $round";
  }
  if ($me % 10 == 0) { print {$socket} "large\n"; $right++ if length(<$socket>) == 300_001; }
  close $socket;
  return $right;
}) } 1 .. 30;
my $right = 0;
$right += $_->join for @clients;
$accepting->join;
print "answers $right\n";

# Pipes, select, children and their ends from threads.
my @children = map { my $me = $_; threads->create(sub {
  open(my $child, '-|', 'echo', "child $me") or die;
  chomp(my $line = <$child>);
  close $child;
  return "$line $?";
}) } 1 .. 6;
print join(', ', map { $_->join } @children), "\n";
pipe(my $reader, my $writer) or die;
my $selecting = threads->create(sub { my @ready = IO::Select->new($reader)->can_read(20); sysread($ready[0], my $text, 10); $text });
syswrite($writer, 'through');
print 'selected ', $selecting->join, "\n";
my $failing = threads->create(sub { die "inside\n" });
$failing->join;
print 'died ', $failing->error;
my $ready = Thread::Semaphore->new(0);
my $told = threads->create(sub {
  my $killed = 0;
  local $SIG{KILL} = sub { $killed = 1 };
  $ready->up;
  Time::HiRes::sleep(0.01) until $killed;
  return 'told';
});
$ready->down;
print $told->kill('KILL')->join, "\n";
exit 7;
