package app

import (
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
)

// remoteBuild is `build --remote`: the server builds, the log comes here.
func remoteBuild(c *cobra.Command, s streams, f *clientFlags, req handlers.BuildRequest, dockerfile string) error {
	api, err := f.client()
	if err != nil {
		return err
	}
	if dockerfile != "" {
		text, err := os.ReadFile(dockerfile)
		if err != nil {
			return err
		}
		req.Dockerfile = string(text)
	}
	var answer handlers.EventAnswer
	if err := api.call(c.Context(), http.MethodPost, "/api/v1/builds", req, &answer); err != nil {
		return err
	}
	failed := false
	for _, b := range answer.Builds {
		fmt.Fprintf(s.out, "build %s of %s: %s\n", b.ID, b.Image, b.Status)
	}
	for _, b := range answer.Builds {
		end, err := api.log(c.Context(), b.ID, s.out)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %s\n", b.Image, end.Status)
		failed = failed || !builder.State(end.State).Good()
	}
	if failed {
		return errSilent
	}
	return nil
}
