package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// clearLeftovers ends and unmounts what a buildkitd under root that was killed
// has left. Nobody else uses root: its lock is ours.
func clearLeftovers(ctx context.Context, runc, root string) error {
	return errors.Join(endContainers(ctx, runc, root), unmount(root))
}

// unmount takes away the file systems of steps, the inner ones first. A folder
// with one in it cannot be removed.
func unmount(root string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(root))
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", m.Mountpoint, err))
		}
	}
	return errors.Join(errs...)
}

// endContainers ends the steps of builds that a buildkitd under root was
// running when it was killed. runc keeps them alive without it, and they
// would go on with nobody to see it, as root and on the host's network.
func endContainers(ctx context.Context, runc, root string) error {
	out, err := exec.CommandContext(ctx, runc, "list", "--format", "json").Output()
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return nil
	}
	var containers []struct {
		ID     string `json:"id"`
		Bundle string `json:"bundle"`
	}
	if err := json.Unmarshal(out, &containers); err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, c := range containers {
		if !strings.HasPrefix(c.Bundle, root+"/") {
			continue // another daemon's
		}
		if out, err := exec.CommandContext(ctx, runc, "delete", "--force", c.ID).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("end container %s: %w: %s", c.ID, err, bytes.TrimSpace(out)))
		}
	}
	return errors.Join(errs...)
}
