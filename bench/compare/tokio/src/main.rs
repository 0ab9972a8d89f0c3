// tokio: its multi-threaded runtime with WORKERS workers, JoinSet, mpsc, its async Mutex, and spawn_blocking.
// Every case runs inside a spawned task: the future of block_on itself runs on the main thread, not on a worker.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, Mutex, Notify};
use tokio::task::{self, JoinSet};

fn cpu_seconds() -> f64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

fn fib(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let (a, b) = (tokio::spawn(fib(n - 1)), tokio::spawn(fib(n - 2)));
        a.await.unwrap() + b.await.unwrap()
    })
}

fn skynet(first: u64, leaves: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let children: Vec<_> = (0..10).map(|i| tokio::spawn(skynet(first + i * leaves / 10, leaves / 10))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

async fn join(mut set: JoinSet<()>) {
    while let Some(result) = set.join_next().await {
        result.unwrap();
    }
}

async fn spawn_join(count: u64) {
    let mut set = JoinSet::new();
    for _ in 0..count {
        set.spawn(async {});
    }
    join(set).await
}

async fn yields(tasks: u64, count: u64) {
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        set.spawn(async move {
            for _ in 0..count / tasks {
                task::yield_now().await;
            }
        });
    }
    join(set).await
}

async fn channel(senders: u64, count: u64) {
    let (tx, mut rx) = mpsc::channel::<u64>(128);
    let mut set = JoinSet::new();
    for _ in 0..senders {
        let tx = tx.clone();
        set.spawn(async move {
            for i in 0..count / senders {
                tx.send(i).await.unwrap();
            }
        });
    }
    drop(tx);
    set.spawn(async move {
        let mut received = 0;
        while rx.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, count / senders * senders);
    });
    join(set).await
}

async fn pingpong(count: u64) {
    let (there, mut at_pong) = mpsc::channel::<u64>(1);
    let (back, mut at_ping) = mpsc::channel::<u64>(1);
    let mut set = JoinSet::new();
    set.spawn(async move {
        for i in 0..count {
            there.send(i).await.unwrap();
            assert_eq!(at_ping.recv().await, Some(i));
        }
    });
    set.spawn(async move {
        while let Some(i) = at_pong.recv().await {
            back.send(i).await.unwrap();
        }
    });
    join(set).await
}

async fn mutex(tasks: u64, count: u64) {
    let total = Arc::new(Mutex::new(0));
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let total = total.clone();
        set.spawn(async move {
            for _ in 0..count / tasks {
                *total.lock().await += 1;
            }
        });
    }
    join(set).await;
    assert_eq!(*total.lock().await, count / tasks * tasks);
}

async fn timers(count: u64) {
    let mut set = JoinSet::new();
    for i in 0..count {
        set.spawn(tokio::time::sleep(Duration::from_micros(i * 2654435761 % 1000000)));
    }
    join(set).await
}

async fn offload(count: u64) {
    for i in 0..count {
        assert_eq!(task::spawn_blocking(move || i).await.unwrap(), i);
    }
}

async fn parked_bytes(count: u64) -> f64 {
    let (event, started) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let before = resident_bytes();
    for _ in 0..count {
        let (event, started) = (event.clone(), started.clone());
        tokio::spawn(async move {
            started.fetch_add(1, Ordering::Relaxed);
            drop(started);
            event.notified().await
        });
    }
    while started.load(Ordering::Relaxed) < count {
        task::yield_now().await;
    }
    (resident_bytes() - before) / count as f64
}

async fn echo(mut peer: TcpStream) -> std::io::Result<()> {
    peer.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    loop {
        let n = peer.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        peer.write_all(&buffer[..n]).await?;
    }
}

async fn burn() {
    loop {
        let end = Instant::now() + Duration::from_millis(5);
        while Instant::now() < end {}
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{{\"port\":{}}}", listener.local_addr().unwrap().port());
    loop {
        let (peer, _) = listener.accept().await.unwrap();
        tokio::spawn(echo(peer));
    }
}

async fn run(name: String, workers: u64, count: u64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut bytes = 0.0;
    match name.as_str() {
        "fib" => assert!(fib(count).await > 0),
        "skynet" => assert_eq!(skynet(0, count).await, count * (count - 1) / 2),
        "spawn_join" => spawn_join(count).await,
        "yield1" => yields(1, count).await,
        "yield100" => yields(100, count).await,
        "channel_1_1" => channel(1, count).await,
        "channel_4_1" => channel(4, count).await,
        "pingpong" => pingpong(count).await,
        "mutex1" => mutex(1, count).await,
        "mutex8" => mutex(8, count).await,
        "timers" => timers(count).await,
        "offload" => offload(count).await,
        "parked_bytes" => bytes = parked_bytes(count).await,
        "echo" => serve().await,
        "skew" => {
            tokio::spawn(burn());
            serve().await
        }
        _ => panic!("no such case here: {name}"),
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let (value, unit) = match name.as_str() {
        "fib" | "skynet" => (wall * 1e3, "ms"),
        "timers" => (cpu, "cpu_s"),
        "parked_bytes" => (bytes, "B"),
        _ => (wall * 1e9 / count as f64, "ns"),
    };
    println!("{{\"case\":\"{name}\",\"workers\":{workers},\"value\":{value},\"unit\":\"{unit}\",\"cpu_s\":{cpu}}}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (workers, count) = (arguments[2].parse().unwrap(), arguments[3].parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(run(arguments[1].clone(), workers as u64, count)).await.unwrap() });
    runtime.shutdown_background();
}
