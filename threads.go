package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many the runtime is made to have beside those that it has
// used so far: forks, writes to our stdout and looks at /proc each take one for
// as long as they block.
const spareThreads = 8

// processors is how many threads may run Go code at once: what a supervisor does
// in parallel is wait.
const processors = 2

// reserveThreads has the threads made now that may be needed later. Where the
// container is at its limit of processes (pids.max, which counts threads) the
// runtime cannot make one more, and ends the program with a fatal error: PID 1
// would die of what its application did, or of more copies than there is room for.
// The runtime never gives an idle thread back.
func reserveThreads() {
	if runtime.GOMAXPROCS(0) > processors {
		runtime.GOMAXPROCS(processors)
	}
	var here sync.WaitGroup
	here.Add(spareThreads)
	release := make(chan struct{})
	for range spareThreads {
		go func() {
			runtime.LockOSThread() // who waits like this keeps a thread for itself
			here.Done()
			<-release
			runtime.UnlockOSThread()
		}()
	}
	here.Wait()
	close(release)
}
