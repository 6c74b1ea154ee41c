package main

import (
	"context"
	"strconv"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func (k *kit) pullConsumer(topic string) rocketmq.PullConsumer {
	c, err := rocketmq.NewPullConsumer(
		consumer.WithNsResolver(k.resolver()),
		consumer.WithGroupName(k.prefix+"-g"),
		consumer.WithInstance(k.instance()),
	)
	must(err, "pull consumer")
	must(c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}), "subscribe")
	must(c.Start(), "start")
	k.closing(func() { _ = c.Shutdown() })
	return c
}

func pull(k *kit) {
	topic := k.topic("t", 1)
	queue := k.queues(topic)[0]
	k.toQueue(k.producer(manual()), topic, queue, 100)
	c := k.pullConsumer(topic)
	next := int64(0)
	await("100 messages", func() bool {
		result, err := c.PullFrom(context.Background(), queue, next, 32)
		must(err, "pull")
		for _, message := range result.GetMessageExts() {
			same(next, message.QueueOffset, "queue offset")
			same(strconv.FormatInt(next, 10), string(message.Body), "body")
			next++
		}
		return next == 100
	})
	beyond, err := c.PullFrom(context.Background(), queue, 5000, 32)
	must(err, "pull beyond the end")
	same(primitive.PullOffsetIllegal, beyond.Status, "status beyond the end")
	same(int64(100), beyond.NextBeginOffset, "offset told beyond the end")
}

// held: a pull at the end waits until a message comes.
func held(k *kit) {
	topic := k.topic("t", 1)
	queue := k.queues(topic)[0]
	p := k.producer(manual())
	k.toQueue(p, topic, queue, 1)
	c := k.pullConsumer(topic)
	answer := make(chan *primitive.PullResult, 1)
	go func() {
		result, err := c.PullFrom(context.Background(), queue, 1, 32)
		if err == nil {
			answer <- result
		}
	}()
	select {
	case result := <-answer:
		check(false, "the pull was not held: %v", result)
	case <-time.After(700 * time.Millisecond):
	}
	sent := time.Now()
	k.toQueue(p, topic, queue, 1)
	select {
	case result := <-answer:
		same(primitive.PullFound, result.Status, "status of the held pull")
		k.note("woken in %v", time.Since(sent).Round(time.Millisecond))
	case <-time.After(time.Second):
		check(false, "the held pull was not answered within 1 s")
	}
}

// kept: a member that comes back goes on where its group stopped.
func kept(k *kit) {
	topic := k.topic("t", 1)
	queue := k.queues(topic)[0]
	group := k.prefix + "-g"
	p := k.producer(manual())
	k.toQueue(p, topic, queue, 10)
	box := &inbox{}
	first := k.push(group, topic, "*", box.take)
	must(first.Start(), "start")
	box.awaitSize(10)
	must(first.Shutdown(), "shutdown")
	k.toQueue(p, topic, queue, 5)
	again := k.inboxOf(group, topic, "*")
	again.awaitSize(5)
	for _, message := range again.all() {
		check(message.QueueOffset >= 10, "again: %v", message)
	}
}

// interrupted sends and consumes without a pause while a server goes and comes back: whatever was
// acknowledged must arrive; a send that failed may or may not.
func interrupted(k *kit, down, up string) {
	topic := k.topic("t", 4)
	p := k.producer(producer.WithSendMsgTimeout(2*time.Second), producer.WithRetry(0))
	box := k.inbox(topic)
	acknowledged := map[string]bool{}
	failed := 0
	until := func(count int) {
		await(strconv.Itoa(count)+" acknowledged sends", func() bool {
			body := "m" + strconv.Itoa(len(acknowledged)+failed)
			result, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(body)))
			if err == nil && result.Status == primitive.SendOK {
				acknowledged[body] = true
			} else {
				failed++
			}
			return len(acknowledged) >= count
		})
	}
	until(100)
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		defer func() {
			if failure := recover(); failure != nil {
				k.note("%v", failure)
			}
		}()
		ask(down)
		time.Sleep(500 * time.Millisecond)
		ask(up)
	}()
	for open := true; open; {
		select {
		case <-stopped:
			open = false
		default:
			until(len(acknowledged) + 1)
		}
	}
	until(len(acknowledged) + 100)
	await("everything acknowledged", func() bool {
		got := map[string]bool{}
		for _, message := range box.all() {
			got[string(message.Body)] = true
		}
		for body := range acknowledged {
			if !got[body] {
				return false
			}
		}
		return true
	})
	k.note("%d acknowledged, %d sends failed", len(acknowledged), failed)
}
