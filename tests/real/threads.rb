# SPDX-License-Identifier: Apache-2.0
# Ruby's threads in all the ways they wait: queues, locks, conditions, sockets, pipes, children, time limits. It prints the same every time.
require 'monitor'
require 'open3'
require 'socket'
require 'timeout'

# A chain of queues: every number passes through all threads, each of which adds its own.
queues = Array.new(51) { Queue.new }
links = Array.new(50) do |at|
  Thread.new do
    while (number = queues[at].pop)
      queues[at + 1] << number + at
    end
    queues[at + 1] << nil
  end
end
200.times { |number| queues[0] << number }
queues[0] << nil
sum = 0
while (number = queues[50].pop)
  sum += number
end
links.each(&:join)
puts "chain #{sum}"

# Producers that wait for room, consumers that wait for work.
narrow = SizedQueue.new(3)
consumers = Array.new(8) { Thread.new { taken = 0; while (n = narrow.pop) != :end do taken += n end; taken } }
producers = Array.new(8) { |who| Thread.new { 100.times { |turn| narrow << who * turn } } }
producers.each(&:join)
8.times { narrow << :end }
puts "narrow #{consumers.sum(&:value)}"

# A lock, a condition, a monitor, and values of each thread's own.
lock, changed, turn, order = Mutex.new, ConditionVariable.new, 0, []
Array.new(20) do |who|
  Thread.new do
    Thread.current[:me] = who
    lock.synchronize do
      changed.wait(lock) until turn == who
      order << Thread.current[:me]
      turn += 1
      changed.broadcast
    end
  end
end.each(&:join)
puts "order #{order.join(' ')}"
monitor, entered = Monitor.new, 0
Array.new(20) { Thread.new { 50.times { monitor.synchronize { monitor.synchronize { entered += 1 } } } } }.each(&:join)
puts "entered #{entered}"

# A server with a thread for each connection, and as many clients in threads.
server = TCPServer.new('127.0.0.1', 0)
accepting = Thread.new do
  loop do
    Thread.new(server.accept) do |client|
      while (line = client.gets)
        line.chomp == 'large' ? client.write('x' * 500_000 + "\n") : client.puts(line.chomp.reverse)
      end
      client.close
    end
  end
end
answers = Array.new(100) do |who|
  Thread.new do
    socket = TCPSocket.new('127.0.0.1', server.addr[1])
    right = (0...20).count { |round| socket.puts("#{who} #{round}"); socket.gets.chomp == "#{who} #{round}".reverse }
    if who % 10 == 0
      socket.puts('large')
      right += 1 if socket.gets.size == 500_001
    end
    socket.close
    right
  end
end
puts "answers #{answers.sum(&:value)}"
accepting.kill
accepting.join
server.close

# Time limits, interrupted sleeps, exceptions that cross threads.
begin
  Timeout.timeout(0.05) { Queue.new.pop }
rescue Timeout::Error => error
  puts "limit #{error.class}"
end
sleeper = Thread.new { sleep; :woken }
Thread.pass until sleeper.status == 'sleep'
sleeper.run
puts "sleeper #{sleeper.value}"
reader, writer = IO.pipe
waiting = Thread.new { reader.read(5) }
victim = Thread.new { begin; reader.read(1) && sleep; rescue => error; error.message; end }
writer.write('hello') if victim.alive?
Thread.pass until [waiting, victim].all? { |thread| thread.status == 'sleep' || !thread.alive? }
victim.raise('a shout')
writer.write('world!')
puts "pipe #{waiting.value.size} #{victim.value}"
failing = Thread.new { Thread.current.report_on_exception = false; raise ArgumentError, 'inside' }
begin
  failing.join
rescue ArgumentError => error
  puts "raised #{error.message}"
end

# Children started and waited for by many threads at once, and a signal.
outputs = Array.new(10) { |who| Thread.new { Open3.capture2('tr a-z A-Z', stdin_data: "child #{who}")[0] } }
puts "children #{outputs.map(&:value).join(', ')}"
forked = Array.new(4) { |who| Thread.new { Process.wait2(fork { exit!(who + 10) })[1].exitstatus } }
puts "forks #{forked.map(&:value).join(' ')}"
caught = Queue.new
trap('USR1') { caught << :signal }
Process.kill('USR1', Process.pid)
puts "caught #{caught.pop}"
selected = Array.new(10) do
  Thread.new { r, w = IO.pipe; Thread.new { w << 'x' }; IO.select([r], nil, nil, 20)[0].size }
end
puts "selected #{selected.sum(&:value)}"
# Nobody joins those that answered and wrote; beside the first thread that of the time limits stays.
Thread.pass until Thread.list.size <= 2
puts "threads left #{Thread.list.size <= 2}"
exit 6
