package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const most = 4 * 1024 * 1024

func sendSync(k *kit) {
	topic := k.topic("t", 4)
	p := k.producer()
	for i := 0; i < 8; i++ {
		message := primitive.NewMessage(topic, []byte(fmt.Sprintf("b%d", i)))
		message.WithTag("tag").WithKeys([]string{fmt.Sprintf("key%d", i)})
		message.WithProperty("colour", fmt.Sprintf("blue %d", i))
		result, err := p.SendSync(context.Background(), message)
		must(err, "send")
		same(primitive.SendOK, result.Status, "status")
		same(32, len(result.OffsetMsgID), "length of the offset id")
		check(result.RegionID != "", "no region id")
	}
	for _, message := range k.drain(topic, 8) {
		number := string(message.Body[1:])
		same("tag", message.GetTags(), "tags")
		same("key"+number, strings.TrimSpace(message.GetKeys()), "keys")
		same("blue "+number, message.GetProperty("colour"), "user property")
		check(message.BornTimestamp <= message.StoreTimestamp, "times")
	}
}

func sendAsync(k *kit) {
	const count = 200
	topic := k.topic("t", 4)
	p := k.producer()
	var open sync.WaitGroup
	var lock sync.Mutex
	var failures []error
	open.Add(count)
	for i := 0; i < count; i++ {
		err := p.SendAsync(context.Background(),
			func(_ context.Context, _ *primitive.SendResult, err error) {
				if err != nil {
					lock.Lock()
					failures = append(failures, err)
					lock.Unlock()
				}
				open.Done()
			}, primitive.NewMessage(topic, []byte(fmt.Sprintf("b%d", i))))
		must(err, "async send")
	}
	open.Wait()
	check(len(failures) == 0, "failed: %v", failures)
	k.drain(topic, count)
}

func sendOneway(k *kit) {
	topic := k.topic("t", 2)
	p := k.producer()
	for i := 0; i < 50; i++ {
		must(p.SendOneWay(context.Background(),
			primitive.NewMessage(topic, []byte(fmt.Sprintf("b%d", i)))), "oneway send")
	}
	k.drain(topic, 50)
}

func sendBatch(k *kit) {
	topic := k.topic("t", 2)
	var batch []*primitive.Message
	for i := 0; i < 20; i++ {
		message := primitive.NewMessage(topic, []byte(fmt.Sprintf("b%d", i)))
		batch = append(batch, message.WithTag(fmt.Sprintf("tag%d", i)))
	}
	result, err := k.producer().SendSync(context.Background(), batch...)
	must(err, "batch send")
	same(primitive.SendOK, result.Status, "status")
	got := k.drain(topic, 20)
	sort.Slice(got, func(a, b int) bool { return got[a].QueueOffset < got[b].QueueOffset })
	for i, message := range got {
		same(int64(i), message.QueueOffset, "queue offset")
		same(fmt.Sprintf("b%d", i), string(message.Body), "body")
		same(fmt.Sprintf("tag%d", i), message.GetTags(), "tags")
	}
}

func autoCreate(k *kit) {
	topic := k.prefix + "-fresh"
	p := k.producer()
	for i := 0; i < 8; i++ {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte("b")))
		must(err, "send to a topic that does not exist")
	}
	await("the route of "+topic, func() bool { return len(k.queues(topic)) == 4 })
	k.drain(topic, 8)
}

func traced(k *kit) {
	topic := k.topic("t", 1)
	traces := k.topic("traces", 1)
	p := k.producer(producer.WithTrace(&primitive.TraceConfig{
		Access: primitive.Local, Resolver: k.resolver(), TraceTopic: traces,
	}))
	box := k.inbox(traces)
	result, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte("b")))
	must(err, "send")
	await("trace", func() bool {
		for _, message := range box.all() {
			if strings.Contains(string(message.Body), result.MsgID) {
				return strings.Contains(string(message.Body), "Pub")
			}
		}
		return false
	})
}

func noise(length int) []byte {
	body := make([]byte, length)
	rand.New(rand.NewSource(int64(length))).Read(body)
	return body
}

func roundTrip(k *kit, length int) {
	topic := k.topic("t", 1)
	p := k.producer(producer.WithCompressMsgBodyOverHowmuch(2 * most))
	_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, noise(length)))
	must(err, "send")
	body := k.drain(topic, 1)[0].Body
	check(bytes.Equal(noise(length), body), "body of %d bytes differs", len(body))
}

// tooLong: this client knows no limit, so the broker has to refuse.
func tooLong(k *kit) {
	topic := k.topic("t", 1)
	p := k.producer(producer.WithCompressMsgBodyOverHowmuch(2*most), producer.WithRetry(0))
	_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, noise(most+1)))
	check(err != nil, "the broker took 4 MiB + 1")
	check(strings.Contains(err.Error(), "CODE: 13"), "refused with %v", err)
	_, err = p.SendSync(context.Background(), primitive.NewMessage(topic, []byte("after")))
	must(err, "the next send")
	k.drain(topic, 1)
}

func compressed(k *kit) {
	topic := k.topic("t", 1)
	body := bytes.Repeat([]byte("to be or not to be "), 1000)
	_, err := k.producer().SendSync(context.Background(), primitive.NewMessage(topic, body))
	must(err, "send")
	got := k.drain(topic, 1)[0]
	check(bytes.Equal(body, got.Body), "body differs")
	check(int(got.StoreSize) < len(body)/4, "stored in %d bytes", got.StoreSize)
}

func wrongTopic(k *kit) {
	p := k.producer(producer.WithRetry(0))
	_, err := p.SendSync(context.Background(), primitive.NewMessage("no good!", []byte("b")))
	check(err != nil, "a bad topic name was taken")
	k.note("bad name: %v", err)
	check(len(k.queues(k.prefix+"-unknown")) == 0, "an unknown topic has queues")
}

// noPermission: a topic without write permission has no queues for producers.
func noPermission(k *kit) {
	topic := k.topic("t", 1)
	_, err := k.producer().SendSync(context.Background(), primitive.NewMessage(topic, []byte("b")))
	must(err, "send")
	k.topicWith("t", 1, 4)
	await("the read-only route", func() bool { return len(k.queues(topic)) == 0 })
	late := k.producer(producer.WithRetry(0))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = late.SendSync(ctx, primitive.NewMessage(topic, []byte("b")))
	check(err != nil, "sent to a read-only topic")
	k.drain(topic, 1)
}
