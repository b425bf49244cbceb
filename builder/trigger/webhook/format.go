package webhook

import (
	"encoding/json"
	"fmt"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// message is one request of a delivery.
type message struct {
	contentType string
	delivery    string
	body        []byte
}

// messages are what the trigger's format makes of the build.
func (k *Kind) messages(format config.WebhookFormat, f trigger.Firing) ([]message, error) {
	switch format {
	case "", config.FormatNative:
		return one("application/json", f.Delivery, k.payload(f))
	case config.FormatCloudEvents:
		return one(cloudEventType, f.Delivery, k.cloudEvent(f))
	case config.FormatDockerHub:
		return k.dockerHub(f)
	}
	return nil, fmt.Errorf("webhook: format %q is none that this server knows; write %s, %s or %s",
		format, config.FormatNative, config.FormatCloudEvents, config.FormatDockerHub)
}

func one(contentType, delivery string, payload any) ([]message, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return []message{{contentType, delivery, body}}, nil
}
