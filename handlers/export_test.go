package handlers

import "github.com/registry-build/registry-build/builder"

// Patterns names every route, as "GET /path".
func Patterns() []string {
	var all []string
	for _, r := range new(Server).table() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// States is what ?state= takes.
func States() []builder.State { return states }
