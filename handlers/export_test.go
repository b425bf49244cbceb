package handlers

import (
	"fmt"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

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

// Limits are sentences of README.md, with the numbers of the code.
func Limits() []string {
	return []string{
		"up to " + size(forge.MaxBody) + ", its signature",
		"take " + size(maxBodies) + " at most",
		fmt.Sprintf("up to %d KiB, nearly all", smallBody>>10),
		fmt.Sprintf("waits up to %d s for room", int(bodiesWait.Seconds())),
		fmt.Sprintf("has %d s to arrive", int(hookLimit.Seconds())),
		fmt.Sprintf("first %d KiB of a comment", maxComment>>10),
		"a line of up to 1,000 bytes",
		"registry_build_deliveries_total", "registry_build_delivery_duration_seconds",
	}
}

// ImagePushOf is the push of an image as it is told within.
func ImagePushOf(s *Server, image string) builder.ImagePush {
	return s.newIntake().imagePush(pushNotice{image: image})
}
