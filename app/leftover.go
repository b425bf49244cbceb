package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

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
