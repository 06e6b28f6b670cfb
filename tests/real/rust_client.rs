// SPDX-License-Identifier: Apache-2.0
// A client of rust_server on Rust's standard library alone: scoped threads with a connection each, whose results come back over a
// channel. It knows nothing of weft.
//
// Usage: rust_client THREADS ROUNDS PORT     prints "right N wrong N"
use std::io::{BufRead, BufReader, Result, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Connection {
    fn open(port: u16) -> Result<Connection> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection { reader: BufReader::new(writer.try_clone()?), writer })
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.writer, "{line}")?;
        let mut answer = String::new();
        self.reader.read_line(&mut answer)?;
        Ok(answer.trim_end().to_string())
    }
}

fn rounds(number: usize, count: usize, connection: &mut Connection, judge: &dyn Fn(bool, &str)) -> Result<()> {
    for round in 0..count {
        let text: String = (0..if number % 20 == 0 { 100_000 } else { 300 })
            .map(|at| (b'a' + ((at * (number + 7) + round) % 26) as u8) as char)
            .collect();
        judge(connection.ask(&format!("echo {text}"))? == text, "echo");
        judge(connection.ask("channel 4")? == (10 * (0 + 1 + 4 + 9) + 4 * 45).to_string(), "channel");
        judge(connection.ask("scope 4")? == (400 * 399 / 2).to_string(), "scope");
        judge(connection.ask("park 20")? == "20", "park");
        judge(connection.ask("panic")? == "thrown", "panic");
        judge(connection.ask("count")? == (6 * round + 5).to_string(), "count of this thread's lines");
    }
    // An answer that does not come in time is an error of its own kind, and the connection goes on.
    connection.writer.set_read_timeout(Some(Duration::from_millis(50)))?;
    let late = connection.reader.read_line(&mut String::new());
    judge(late.map_err(|error| error.kind()) == Err(std::io::ErrorKind::WouldBlock), "a limit on waiting");
    connection.writer.set_read_timeout(None)?;
    judge(connection.ask("echo again")? == "again", "echo after the limit");
    writeln!(connection.writer, "bye")?;
    judge(connection.reader.read_line(&mut String::new())? == 0, "the end of the connection");
    Ok(())
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().unwrap()).collect();
    let (threads, count, port) = (numbers[0], numbers[1], numbers[2] as u16);
    let (sender, receiver) = channel();
    let together = Barrier::new(threads);
    let mut wrong = 0;
    let mut right = 0;
    thread::scope(|scope| {
        for number in 0..threads {
            let (sender, together) = (sender.clone(), &together);
            scope.spawn(move || {
                let judge = |good: bool, what: &str| sender.send((good, format!("{number}: {what}"))).unwrap();
                let connection = Connection::open(port);
                together.wait();
                if let Err(error) = connection.and_then(|mut open| rounds(number, count, &mut open, &judge)) {
                    judge(false, &error.to_string());
                }
            });
        }
        drop(sender);
        for (good, what) in receiver {
            if good {
                right += 1;
            } else {
                wrong += 1;
                eprintln!("{what}");
            }
        }
    });
    println!("right {right} wrong {wrong}");
    std::process::exit((wrong != 0) as i32);
}
