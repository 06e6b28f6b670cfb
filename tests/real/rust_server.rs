// SPDX-License-Identifier: Apache-2.0
// A server on Rust's standard library alone, a named thread for each connection, with every way its threads have to wait for one
// another. It knows nothing of weft.
//
// Prints "port N". A connection sends lines: "echo TEXT", "channel N", "scope N", "park N", "panic" and "count";
// each gets one line back. "bye" ends the connection, "stop" the process, with status 3.
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, Once, RwLock};
use std::thread;
use std::time::Duration;

thread_local!(static LINES: RefCell<Vec<usize>> = RefCell::new(Vec::new()));

static STARTED: Once = Once::new();

struct Shared {
    lines: Mutex<u64>,
    changed: Condvar,
    words: RwLock<Vec<String>>,
}

// Squares from N threads over a channel that holds two, so that senders wait as well.
fn by_channel(count: u64) -> u64 {
    let (sender, receiver) = mpsc::sync_channel(2);
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || (0..10).for_each(|turn| sender.send(number * number + turn).unwrap()))
        })
        .collect();
    drop(sender);
    let sum = receiver.iter().sum();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    sum
}

fn by_scope(count: usize) -> usize {
    let values: Vec<usize> = (0..count * 100).collect();
    let barrier = Barrier::new(count);
    let sum = AtomicUsize::new(0);
    thread::scope(|scope| {
        for part in values.chunks(100) {
            scope.spawn(|| {
                barrier.wait();
                sum.fetch_add(part.iter().sum::<usize>(), Ordering::Relaxed);
            });
        }
    });
    sum.into_inner()
}

// So many turns of a ball between two threads that park.
fn by_park(turns: usize) -> usize {
    let ours = Arc::new(AtomicBool::new(false));
    let me = thread::current();
    let other = {
        let ours = ours.clone();
        thread::spawn(move || {
            for _ in 0..turns {
                while ours.load(Ordering::Acquire) {
                    thread::park();
                }
                ours.store(true, Ordering::Release);
                me.unpark();
            }
        })
    };
    let mut seen = 0;
    while seen < turns {
        while !ours.load(Ordering::Acquire) {
            thread::park_timeout(Duration::from_secs(20));
        }
        seen += 1;
        ours.store(false, Ordering::Release);
        other.thread().unpark();
    }
    other.join().unwrap();
    seen
}

fn answer(line: &str) -> String {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "echo" => rest.to_string(),
        "channel" => by_channel(rest.parse().unwrap()).to_string(),
        "scope" => by_scope(rest.parse().unwrap()).to_string(),
        "park" => by_park(rest.parse().unwrap()).to_string(),
        "panic" => match thread::spawn(|| std::panic::resume_unwind(Box::new("thrown"))).join() {
            Err(thrown) => thrown.downcast::<&str>().unwrap().to_string(),
            Ok(()) => "nothing thrown".to_string(),
        },
        "count" => LINES.with(|lines| lines.borrow().len()).to_string(),
        _ => format!("what is {word}?"),
    }
}

fn serve(stream: TcpStream, number: usize, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let name = thread::current().name().unwrap_or("").to_string();
    assert_eq!(name, format!("connection {number}"));
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line == "bye" {
            break;
        }
        if line == "stop" {
            std::process::exit(3);
        }
        let text = answer(&line);
        LINES.with(|lines| lines.borrow_mut().push(line.len()));
        *shared.lines.lock().unwrap() += 1;
        shared.changed.notify_all();
        shared.words.write().unwrap().push(name.clone());
        assert!(!shared.words.read().unwrap().is_empty());
        writeln!(writer, "{text}")?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("port {}", listener.local_addr()?.port());
    let shared = Arc::new(Shared { lines: Mutex::new(0), changed: Condvar::new(), words: RwLock::new(Vec::new()) });
    let watched = shared.clone();
    thread::spawn(move || {
        let mut lines = watched.lines.lock().unwrap();
        while *lines < 1000 {
            lines = watched.changed.wait_timeout(lines, Duration::from_millis(500)).unwrap().0;
        }
        println!("a thousand");
    });
    for (number, stream) in listener.incoming().enumerate() {
        let (stream, shared) = (stream?, shared.clone());
        thread::Builder::new().name(format!("connection {number}")).spawn(move || {
            STARTED.call_once(|| println!("first"));
            if let Err(error) = serve(stream, number, &shared) {
                println!("wrong: {error}");
            }
        })?;
    }
    Ok(())
}
