package config

// Server is what the operator writes. Everything has a default but secrets.
type Server struct {
	Listen    string     `yaml:"listen"` // host:port; "" lets `up` choose once and keep it
	URL       string     `yaml:"url"`    // how people reach us
	Data      string     `yaml:"data"`   // folder
	Redis     string     `yaml:"redis"`  // redis:// or unix:// address; "" embeds
	BuildKit  []BuildKit `yaml:"buildkit"`
	Registry  Registry   `yaml:"registry"`
	Tokens    []Token    `yaml:"tokens"`
	Git       Git        `yaml:"-"` // forges.git
	Policy    []Policy   `yaml:"policy"`
	Limits    Limits     `yaml:"limits"`
	Retention Retention  `yaml:"retention"`
	Triggers  TriggerNet `yaml:"triggers"`
	KeyFile   string     `yaml:"-"` // credentials.keyFile
	Timezone  string     `yaml:"timezone"`
}

type (
	BuildKit   struct{}
	Registry   struct{}
	Token      struct{}
	Git        struct{}
	Policy     struct{}
	Limits     struct{}
	Retention  struct{}
	TriggerNet struct{}
)
