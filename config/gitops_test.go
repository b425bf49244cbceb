package config

import "testing"

// Repositories of manifests at every kind of forge: groups of GitLab's are
// several deep, and a server may be called after an address.
func TestManifestNames(t *testing.T) {
	tests := map[string]struct{ name, glob bool }{
		"acme/deploy":                           {true, false},
		"acme/platform/team/deploy":             {true, false},
		"gitlab:acme/platform/deploy":           {true, true},
		"git-example-com-8443:acme/deploy":      {true, true},
		"10-0-0-1:acme/platform/deploy":         {true, true},
		"gitlab:acme/platform/*":                {false, true},
		"*:acme/deploy":                         {false, true},
		"git.example.com:acme/deploy":           {false, true}, // no forge is called so
		"gitlab:deploy":                         {false, true},
		"gitlab:acme/../deploy":                 {false, true},
		"acme/platform/*":                       {false, false},
		"https://git.example.com/acme/deploy":   {true, true},
		"https://git.example.com/a/b/c/d/x.git": {true, true},
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			if err := checkManifests(text, false); (err == nil) != want.name {
				t.Errorf("as a repository: %v", err)
			}
			if err := checkManifestGlob(text); (err == nil) != want.glob {
				t.Errorf("as a policy: %v", err)
			}
		})
	}
}
