package credential

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kubeconfig is what is looked at in one.
type kubeconfig struct {
	Current  string `yaml:"current-context"`
	Clusters []struct {
		Cluster map[string]yaml.Node `yaml:"cluster"`
	} `yaml:"clusters"`
	Contexts []kubeContext `yaml:"contexts"`
	Users    []struct {
		User map[string]yaml.Node `yaml:"user"`
	} `yaml:"users"`
}

type kubeContext struct {
	Name string `yaml:"name"`
}

const flatten = "write it as kubectl config view --raw --flatten shows it"

// checkKubeconfig refuses one that would run a program of this machine or
// read a file of it.
func checkKubeconfig(s string) error {
	k, err := parseKubeconfig(s)
	if err != nil {
		return err
	}
	for _, list := range []struct {
		key    string
		length int
	}{{"clusters", len(k.Clusters)}, {"contexts", len(k.Contexts)}, {"users", len(k.Users)}} {
		if list.length == 0 {
			return fmt.Errorf("is no kubeconfig: it has no %s; %s", list.key, flatten)
		}
	}
	for _, c := range k.Clusters {
		if has(c.Cluster, "certificate-authority") {
			return errors.New("names the file of a certificate authority (certificate-authority), and no files are read here; " + flatten)
		}
	}
	for _, u := range k.Users {
		for _, key := range []string{"client-certificate", "client-key", "tokenFile"} {
			if has(u.User, key) {
				return fmt.Errorf("names a file (%s of a user), and no files are read here; %s", key, flatten)
			}
		}
		for _, key := range []string{"exec", "auth-provider"} {
			if has(u.User, key) {
				return fmt.Errorf("has a user with %s, which would run a program here; give a user that has a token or a client certificate, like a service account's: kubectl create token NAME", key)
			}
		}
	}
	if k.Current != "" && !slices.Contains(k.Contexts, kubeContext{k.Current}) {
		return errors.New("has a current-context that is none of its contexts; " + flatten)
	}
	return nil
}

func parseKubeconfig(s string) (k kubeconfig, err error) {
	// The parser's error may quote the text.
	if err := yaml.Unmarshal([]byte(s), &k); err != nil {
		return k, errors.New("is no kubeconfig; " + flatten)
	}
	return k, nil
}

// has reports whether the mapping has the key, in whatever case: who reads it
// later may not care.
func has(m map[string]yaml.Node, key string) bool {
	for k := range m {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// openKey lists what a user entry may show: names, and the certificate, which is
// sent in the clear. Whatever else stands there is taken for a secret.
func openKey(key string) bool {
	return slices.Contains([]string{"username", "client-certificate-data", "as", "as-uid", "as-groups", "as-user-extra"}, key)
}

// kubeSecrets are the parts of a kubeconfig that are secret, as they stand in
// it, and the pairs of user name and password.
func kubeSecrets(s string) (values []string, pairs [][2]string) {
	k, err := parseKubeconfig(s)
	if err != nil {
		return nil, nil // checked when it was set
	}
	for _, u := range k.Users {
		for key, n := range u.User {
			if v := scalar(n); v != "" && !openKey(key) {
				values = append(values, v)
				values = append(values, decoded(v)...)
			}
		}
		if name, password := scalar(u.User["username"]), scalar(u.User["password"]); password != "" {
			pairs = append(pairs, [2]string{name, password})
		}
	}
	for _, c := range k.Clusters {
		for _, key := range []string{"proxy-url", "server"} {
			if at, err := url.Parse(scalar(c.Cluster[key])); err == nil && at.User != nil {
				if password, ok := at.User.Password(); ok {
					values = append(values, password)
					pairs = append(pairs, [2]string{at.User.Username(), password})
				}
			}
		}
	}
	return values, pairs
}

func scalar(n yaml.Node) string {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = *n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// decoded is what a …-data value holds, where that is PEM.
func decoded(v string) []string {
	v = strings.Join(strings.Fields(v), "") // it may be folded
	data, err := base64.StdEncoding.DecodeString(v)
	if err != nil || !strings.Contains(string(data), "-----BEGIN ") {
		return nil
	}
	return []string{v, string(data)}
}
