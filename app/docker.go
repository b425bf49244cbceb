package app

import (
	"fmt"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// dockerLogins reads logins of outside registries from the Docker
// configuration that the operator names; without one pushes are anonymous.
func dockerLogins(cfg *config.Server) func(destination string) (builder.Login, error) {
	return func(destination string) (builder.Login, error) {
		if cfg.Registry.DockerConfig == "" {
			return builder.Login{}, nil
		}
		return dockerLogin(destination, cfg.Registry.DockerConfig)
	}
}

// dockerLogin is the login that a Docker configuration has for an image
// repository's registry; folder "" is the person's own.
func dockerLogin(destination, folder string) (builder.Login, error) {
	repo, err := name.NewRepository(destination)
	if err != nil {
		return builder.Login{}, err
	}
	host := repo.RegistryStr()
	if folder == "" {
		folder = dockerconfig.Dir()
	}
	file, err := dockerconfig.Load(folder)
	if err != nil {
		return builder.Login{}, fmt.Errorf("login for %s: %w", host, err)
	}
	key := host
	if host == name.DefaultRegistry {
		key = authn.DefaultAuthKey // Docker Hub's has always been an address
	}
	c, err := file.GetAuthConfig(key)
	if err != nil {
		return builder.Login{}, fmt.Errorf("login for %s: %w", host, err)
	}
	return builder.Login{Host: host, Username: c.Username, Password: firstOf(c.Password, c.RegistryToken)}, nil
}
