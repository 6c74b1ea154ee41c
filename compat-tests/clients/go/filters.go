package main

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func numbered(topic string, number int) *primitive.Message {
	message := primitive.NewMessage(topic, []byte(strconv.Itoa(number)))
	message.WithProperty("a", strconv.Itoa(number))
	if number%2 == 0 {
		message.WithProperty("colour", "blue")
	}
	return message
}

// numbers sends "0" to "19" with the number as property a, and a colour with the even ones.
func numbers(k *kit, topic string) rocketmq.Producer {
	p := k.producer()
	for i := 0; i < 20; i++ {
		_, err := p.SendSync(context.Background(), numbered(topic, i))
		must(err, "send")
	}
	return p
}

func (k *kit) sqlPush(group, topic, sql string, f listener) rocketmq.PushConsumer {
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(k.resolver()),
		consumer.WithGroupName(group),
		consumer.WithInstance(k.instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	must(err, "push consumer")
	selector := consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	must(c.Subscribe(topic, selector, f), "subscribe")
	k.closing(func() { _ = c.Shutdown() })
	return c
}

func sqlPush(k *kit) {
	topic := k.topic("t", 1)
	numbers(k, topic)
	for number, wanted := range map[string]string{
		"a BETWEEN 3 AND 6":            "3 4 5 6",
		"colour = 'blue' AND a > 13":   "14 16 18",
		"colour IS NULL AND a < 4":     "1 3",
		"colour CONTAINS 'lu' AND a=0": "0",
	} {
		box := &inbox{}
		group := k.prefix + "-g" + strconv.Itoa(len(number))
		must(k.sqlPush(group, topic, number, box.take).Start(), "start")
		box.awaitSize(len(strings.Fields(wanted)))
		var got []int
		for _, message := range box.all() {
			n, _ := strconv.Atoi(string(message.Body))
			got = append(got, n)
		}
		sort.Ints(got)
		var words []string
		for _, n := range got {
			words = append(words, strconv.Itoa(n))
		}
		same(wanted, strings.Join(words, " "), number)
	}
}

// sqlHeld: what is not wanted leaves a held pull alone, what is wanted ends it at once.
func sqlHeld(k *kit) {
	topic := k.topic("t", 1)
	p := numbers(k, topic)
	box := &inbox{}
	must(k.sqlPush(k.prefix+"-g", topic, "a = 77", box.take).Start(), "start")
	send := func(number int) {
		_, err := p.SendSync(context.Background(), numbered(topic, number))
		must(err, "send")
	}
	send(77)
	box.awaitSize(1)
	time.Sleep(time.Second)
	worst := time.Duration(0)
	for i := 0; i < 5; i++ {
		before := box.size()
		send(i)
		time.Sleep(100 * time.Millisecond)
		sent := time.Now()
		send(77)
		for box.size() == before && time.Since(sent) < 8*time.Second {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(sent); took > worst {
			worst = took
		}
		time.Sleep(150 * time.Millisecond)
	}
	same(6, box.size(), "arrived")
	check(worst < time.Second, "a message took %v from send to listener", worst)
	k.note("slowest of 5: %v", worst.Round(time.Millisecond))
}

// sqlRefused: what is no expression is told at the start.
func sqlRefused(k *kit) {
	topic := k.topic("t", 1)
	box := &inbox{}
	err := k.sqlPush(k.prefix+"-g", topic, "a >", box.take).Start()
	if err == nil {
		numbers(k, topic)
		time.Sleep(3 * time.Second)
		same(0, box.size(), "messages for a filter that is none")
		k.note("the client does not ask")
	}
}
