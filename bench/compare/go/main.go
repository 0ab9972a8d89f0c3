// Go: goroutines, channels and sync as the standard library has them, on WORKERS Ps (GOMAXPROCS).
// Blocking work needs no offload in Go, so that case is not here.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	name    = os.Args[1]
	workers = number(os.Args[2])
	count   = number(os.Args[3])
)

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err == nil, "a number: "+text)
	return n
}

func check(good bool, what string) {
	if !good {
		fmt.Fprintln(os.Stderr, "wrong result:", what)
		os.Exit(1)
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) * 1e-9
}

func report(value float64, unit string, cpu float64) {
	line, _ := json.Marshal(map[string]any{"case": name, "workers": workers, "value": value, "unit": unit, "cpu_s": cpu})
	fmt.Println(string(line))
}

// together runs each function as a goroutine and waits for all.
func together(functions ...func()) {
	var group sync.WaitGroup
	group.Add(len(functions))
	for _, f := range functions {
		f := f
		go func() { defer group.Done(); f() }()
	}
	group.Wait()
}

func repeat(n int, f func()) []func() {
	functions := make([]func(), n)
	for i := range functions {
		functions[i] = f
	}
	return functions
}

// The second child runs in the goroutine that is here, as Go programs write it; with two goroutines it takes twice as long.
func fib(n int) int {
	if n < 2 {
		return n
	}
	var a int
	var group sync.WaitGroup
	group.Add(1)
	go func() { a = fib(n - 1); group.Done() }()
	b := fib(n - 2)
	group.Wait()
	return a + b
}

func skynet(first, leaves int) int {
	if leaves == 1 {
		return first
	}
	var sums [10]int
	var group sync.WaitGroup
	group.Add(10)
	for i := 0; i < 10; i++ {
		i := i
		go func() { sums[i] = skynet(first+i*leaves/10, leaves/10); group.Done() }()
	}
	group.Wait()
	sum := 0
	for _, s := range sums {
		sum += s
	}
	return sum
}

func spawnJoin() {
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go group.Done()
	}
	group.Wait()
}

func yield(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

func channel(senders int) {
	messages := make(chan int, 128)
	send := func() {
		for i := 0; i < count/senders; i++ {
			messages <- i
		}
	}
	together(append(repeat(senders, send), func() {
		for i := 0; i < count/senders*senders; i++ {
			<-messages
		}
	})...)
}

func pingpong() {
	there, back := make(chan int, 1), make(chan int, 1)
	together(func() {
		for i := 0; i < count; i++ {
			there <- i
			check(<-back == i, "pingpong")
		}
	}, func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
	})
}

func mutex(tasks int) {
	var lock sync.Mutex
	total := 0
	together(repeat(tasks, func() {
		for i := 0; i < count/tasks; i++ {
			lock.Lock()
			total++
			lock.Unlock()
		}
	})...)
	check(total == count/tasks*tasks, "mutex")
}

func timers() {
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		due := time.Duration(i*2654435761%1000000) * time.Microsecond
		go func() { time.Sleep(due); group.Done() }()
	}
	group.Wait()
}

func residentBytes() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	return float64(number(strings.Fields(string(text))[1]) * os.Getpagesize())
}

func parkedBytes() {
	before, cpu := residentBytes(), cpuSeconds()
	event := make(chan struct{})
	var parked, done sync.WaitGroup
	parked.Add(count)
	done.Add(count)
	for i := 0; i < count; i++ {
		go func() { parked.Done(); <-event; done.Done() }()
	}
	parked.Wait()
	report((residentBytes()-before)/float64(count), "B", cpuSeconds()-cpu)
	close(event)
	done.Wait()
}

func echo(peer net.Conn) {
	defer peer.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := peer.Read(buffer)
		if err != nil {
			return
		}
		if _, err = peer.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func burn() {
	for {
		for end := time.Now().Add(5 * time.Millisecond); time.Now().Before(end); {
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "listen")
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		peer, err := listener.Accept()
		check(err == nil, "accept")
		go echo(peer)
	}
}

func main() {
	runtime.GOMAXPROCS(workers)
	start, cpu := time.Now(), cpuSeconds()
	switch name {
	case "fib":
		check(fib(count) > 0, name)
	case "skynet":
		check(skynet(0, count) == count*(count-1)/2, name)
	case "spawn_join":
		spawnJoin()
	case "yield1":
		together(func() { yield(count) })
	case "yield100":
		together(repeat(100, func() { yield(count / 100) })...)
	case "channel_1_1":
		channel(1)
	case "channel_4_1":
		channel(4)
	case "pingpong":
		pingpong()
	case "mutex1":
		mutex(1)
	case "mutex8":
		mutex(8)
	case "timers":
		timers()
	case "parked_bytes":
		parkedBytes()
		return
	case "skew":
		go burn()
		serve()
	case "echo":
		serve()
	default:
		check(false, "no such case here: "+name)
	}
	wall := time.Since(start)
	cpu = cpuSeconds() - cpu
	switch name {
	case "fib", "skynet":
		report(wall.Seconds()*1e3, "ms", cpu)
	case "timers":
		report(cpu, "cpu_s", cpu)
	default:
		report(wall.Seconds()*1e9/float64(count), "ns", cpu)
	}
}
