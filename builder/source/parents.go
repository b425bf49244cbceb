package source

import (
	"context"
	"fmt"
	"strings"
)

// Parents returns the commit's parents, in order: of a merge, what it was
// merged into comes first.
func (c *Commit) Parents(ctx context.Context) ([]string, error) {
	_, data, err := c.objects.read(ctx, c.hash, largest)
	if err != nil {
		return nil, fmt.Errorf("parents of %s: %w", short(c.hash), err)
	}
	var parents []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" { // the message begins, which anybody may write
			break
		}
		if parent, ok := strings.CutPrefix(line, "parent "); ok {
			parents = append(parents, parent)
		}
	}
	return parents, nil
}
