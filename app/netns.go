package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// leaveNetwork takes the calling thread out of the machine's network, into a
// new one that has a loopback interface and nothing else. What the thread
// starts and listens on is in there too, and what listens can be served from
// anywhere in this process. The goroutine must be locked to its thread and
// must never unlock it: the thread is of no use to others.
func leaveNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network of its own: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open its network: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err == nil {
		lo.SetUint16(unix.IFF_UP)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	}
	if err != nil {
		return fmt.Errorf("start its loopback interface: %w", err)
	}
	return nil
}
