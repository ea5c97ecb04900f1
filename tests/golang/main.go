// Sends the events of a file of test vectors by sdk-go, whose code Knative's data plane is, over a connection of their
// own, and prints what arrives: headers, body, and the event that sdk-go reads of them. With --read it reads messages
// that somebody else wrote.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// message is an HTTP message, and the event that sdk-go reads of it.
type message struct {
	Headers [][2]string  `json:"headers"`
	Body    string       `json:"body"`
	Event   *event.Event `json:"event,omitempty"`
}

// vectors are those of golang.json, as far as they are needed here.
type vectors struct {
	Requests []struct {
		Name  string            `json:"name"`
		Given map[string]string `json:"given"`
	} `json:"requests"`
}

func main() {
	arguments := os.Args[1:]
	var result any
	var err error
	switch {
	case len(arguments) == 2 && arguments[0] == "--read":
		result, err = readAll(arguments[1])
	case len(arguments) == 1:
		result, err = sendAll(arguments[0])
	default:
		err = fmt.Errorf("usage: golang VECTORS, or golang --read MESSAGES")
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(file string, into any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}

// sendAll gives what arrived of each event, by the name of its vector.
func sendAll(file string) (map[string]message, error) {
	var all vectors
	if err := load(file, &all); err != nil {
		return nil, err
	}
	arrived := make(chan message, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		arrived <- message{Headers: ofEvent(request.Header), Body: string(body)}
	}))
	defer server.Close()
	messages := map[string]message{}
	for _, vector := range all.Requests {
		if err := send(vector.Given, server.URL); err != nil {
			return nil, fmt.Errorf("%s: %w", vector.Name, err)
		}
		sent, err := read(<-arrived)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", vector.Name, err)
		}
		messages[vector.Name] = sent
	}
	return messages, nil
}

// send hands an event of these attributes to a server, in binary mode.
func send(attributes map[string]string, url string) error {
	given := event.New()
	for name, value := range attributes {
		switch name {
		case "id":
			given.SetID(value)
		case "source":
			given.SetSource(value)
		case "type":
			given.SetType(value)
		default:
			given.SetExtension(name, value)
		}
	}
	if err := given.SetData(event.ApplicationJSON, map[string]string{"a": "b"}); err != nil {
		return err
	}
	if err := given.Validate(); err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	context := binding.WithForceBinary(context.Background())
	if err := cehttp.WriteRequest(context, (*binding.EventMessage)(&given), request); err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// ofEvent are the headers that belong to an event, in the order of their names.
func ofEvent(headers http.Header) [][2]string {
	list := [][2]string{}
	for name, values := range headers {
		for _, value := range values {
			if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "ce-") {
				list = append(list, [2]string{name, value})
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i][0] < list[j][0] })
	return list
}

// readAll reads the event of each message.
func readAll(file string) ([]message, error) {
	var messages []message
	if err := load(file, &messages); err != nil {
		return nil, err
	}
	for i := range messages {
		var err error
		if messages[i], err = read(messages[i]); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func read(sent message) (message, error) {
	response := http.Response{Header: http.Header{}, Body: io.NopCloser(strings.NewReader(sent.Body))}
	for _, header := range sent.Headers {
		response.Header.Add(header[0], header[1])
	}
	var err error
	sent.Event, err = binding.ToEvent(context.Background(), cehttp.NewMessageFromHttpResponse(&response))
	return sent, err
}
