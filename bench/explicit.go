// SPDX-License-Identifier: Apache-2.0
// The same as explicit.c by goroutines and Go's channels.
//
//	explicit_go ping_pong|ring|storm|skynet COUNT [SIZE]
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

func report(result int64, since time.Time, count int64) {
	spent := time.Since(since)
	fmt.Printf("result=%d seconds=%.6f ns_each=%.2f\n", result, spent.Seconds(), float64(spent.Nanoseconds())/float64(count))
}

func pingPong(count int64) {
	there, back, ended := make(chan int64), make(chan int64), make(chan bool)
	go func() {
		for value := range there {
			back <- value + 1
		}
	}()
	go func() {
		value, rounds := int64(0), count/2
		since := time.Now()
		for i := int64(0); i < rounds; i++ {
			there <- value
			value = <-back
		}
		report(value, since, 2*rounds)
		close(there)
		ended <- true
	}()
	<-ended
}

func ring(messages, size int64) {
	actors, ended := make([]chan int64, size), make(chan bool)
	for i := range actors {
		actors[i] = make(chan int64, 1)
	}
	for i := range actors {
		go func(own, next chan int64) {
			for left := range own {
				if left == 0 {
					ended <- true
					return
				}
				next <- left - 1
			}
		}(actors[i], actors[(int64(i)+1)%size])
	}
	since := time.Now()
	actors[0] <- messages
	<-ended
	report(messages, since, messages+1)
}

const atOnce = 256

func storm(count int64) {
	var ran [atOnce]int64
	var group sync.WaitGroup
	rounds := count / atOnce
	since := time.Now()
	for i := int64(0); i < rounds; i++ {
		group.Add(atOnce)
		for j := 0; j < atOnce; j++ {
			go func(j int) {
				ran[j]++
				group.Done()
			}(j)
		}
		group.Wait()
	}
	sum := int64(0)
	for _, each := range ran {
		sum += each
	}
	report(sum, since, rounds*atOnce)
}

func grow(parent chan int64, number, size int64) {
	if size == 1 {
		parent <- number
		return
	}
	own, sum := make(chan int64), int64(0)
	for i := int64(0); i < 10; i++ {
		go grow(own, number+i*(size/10), size/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-own
	}
	parent <- sum
}

func skynet(leaves int64) {
	root := make(chan int64)
	since := time.Now()
	go grow(root, 0, leaves)
	report(<-root, since, leaves)
}

func main() {
	number, size := int64(0), int64(10000)
	if len(os.Args) > 2 {
		number, _ = strconv.ParseInt(os.Args[2], 10, 64)
	}
	if len(os.Args) > 3 {
		size, _ = strconv.ParseInt(os.Args[3], 10, 64)
	}
	programs := map[string]func(){"ping_pong": func() { pingPong(number) }, "ring": func() { ring(number, size) },
		"storm": func() { storm(number) }, "skynet": func() { skynet(number) }}
	if number <= 0 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: explicit_go ping_pong|ring|storm|skynet COUNT [SIZE]")
		os.Exit(2)
	}
	programs[os.Args[1]]()
}
