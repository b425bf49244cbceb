package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// homeFile names the domain that the data folder's first daemon belongs to.
const homeFile = "buildkit.domain"

// home is the daemon that `up` starts before anybody builds, so that the first
// build need not wait for it. It belongs to the domain that builds first, from
// then on and after every restart, because its cache does. (A folder from the
// time when all domains had this one keeps that cache for the first of them:
// builds had no secrets then.)
type home struct {
	*reached
	dir *dataDir

	mu     sync.Mutex
	domain string // "" until it is known
}

// of reports whether the daemon is the domain's, and makes it so if it is
// nobody's yet.
func (h *home) of(domain string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.domain == "" {
		kept, err := os.ReadFile(h.dir.path(homeFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("whose builder it is: %w", err)
		}
		h.domain = strings.TrimSpace(string(kept))
	}
	if h.domain == "" {
		if err := h.dir.publish(homeFile, domain+"\n"); err != nil {
			return false, fmt.Errorf("whose builder it is: %w", err)
		}
		h.domain = domain
	}
	return h.domain == domain, nil
}
