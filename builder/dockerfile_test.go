package builder

import "testing"

func TestIsDockerfile(t *testing.T) {
	for file, want := range map[string]bool{
		"Dockerfile": true, "build/Dockerfile": true, "Dockerfile.api": true, "docker/api.Dockerfile": true,
		"dockerfile": false, "Dockerfile.dockerignore": false, "README.md": false, "MyDockerfile": false,
		"vendor/x/Dockerfile": false, "web/node_modules/x/Dockerfile": false, "pkg/testdata/Dockerfile": false,
	} {
		if got := IsDockerfile(file); got != want {
			t.Errorf("%s: %t, want %t", file, got, want)
		}
	}
}
