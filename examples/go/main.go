// Asks for a client of a gateway: publishes io.podgateway.client.pending to a Broker, in binary mode.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
)

func main() {
	id := flag.String("id", uuid.NewString(), "the event's `id`; sent again, it stands for the same Pod")
	source := flag.String("source", "/examples/go", "the event's `source`")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: publish [--id ID] [--source SOURCE] GATEWAY [BROKER]")
		fmt.Fprintln(os.Stderr, "BROKER is the Broker's address, unless K_SINK is set")
		flag.PrintDefaults()
	}
	flag.Parse()
	gateway, broker := flag.Arg(0), os.Getenv("K_SINK")
	if broker == "" {
		broker = flag.Arg(1)
	}
	if gateway == "" || broker == "" || flag.NArg() > 2 {
		flag.Usage()
		os.Exit(2)
	}

	event, err := pending(*id, *source, gateway)
	if err == nil {
		err = publish(event, broker)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("published: id %s, source %s, gateway %s\n", *id, *source, gateway)
}

// pending is the event that asks for a client of the gateway.
func pending(id, source, gateway string) (cloudevents.Event, error) {
	event := cloudevents.NewEvent()
	event.SetID(id)
	event.SetSource(source)
	event.SetType("io.podgateway.client.pending")
	err := event.SetData(cloudevents.ApplicationJSON, map[string]string{"gateway_name": gateway})
	if err != nil {
		return event, err
	}
	return event, event.Validate()
}

// publish sends the event. Its error says what to do if the broker did not take it.
func publish(event cloudevents.Event, broker string) error {
	client, err := cloudevents.NewClientHTTP(cehttp.WithClient(http.Client{
		Timeout: time.Minute,
		// A redirected POST becomes a GET, which is no event to a broker.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	if err != nil {
		return err
	}
	result := client.Send(cloudevents.ContextWithTarget(context.Background(), broker), event)
	if cloudevents.IsACK(result) {
		return nil
	}
	// The SDK also reports a failed connection as a refusal, but only a broker's response has a status.
	var answer *cehttp.Result
	if errors.As(result, &answer) {
		return fmt.Errorf("%s refuses the event: %w", broker, result)
	}
	return fmt.Errorf("no answer from %s: %w. Send it again with --id %s --source %s: there will be one Pod",
		broker, result, event.ID(), event.Source())
}
