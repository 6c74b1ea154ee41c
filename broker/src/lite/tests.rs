//! Who is offered what.

use super::*;

fn s(text: &str) -> Str {
    text.to_owned().into()
}

fn set(queues: &[&str]) -> BTreeSet<Str> {
    queues.iter().map(|queue| names::queue("P", queue).unwrap()).collect()
}

struct World(Lite<u32>);

impl World {
    fn add(&self, client: &str, group: &str, queues: &[&str]) -> usize {
        let (client, group, topic) = (s(client), s(group), s("P"));
        let who = Who { client: &client, group: &group, topic: &topic, peer: None };
        self.0.add(&who, &set(queues), 0).unwrap().len()
    }

    fn offer(&self, queue: &str) -> Vec<u32> {
        let queue = names::queue("P", queue).unwrap();
        let (group, rather_not) = (None, None);
        let offer = Offer { group, queue: &queue, rather_not, now_ms: 1, again_ms: 50 };
        self.0.offer(offer, |_| 2)
    }

    fn take(&self, client: &str) -> Option<String> {
        let queue = self.0.take(client, 1)?;
        names::parts(&queue).map(|(_, lite)| lite.to_owned())
    }
}

#[test]
fn one_client_of_each_group_is_offered_a_queue() {
    let world = World(Lite::default());
    assert_eq!((world.add("a", "g", &["x", "y"]), world.add("a", "g", &["x"])), (2, 0));
    assert_eq!((world.add("b", "g", &["x"]), world.add("c", "h", &["x"])), (1, 1));
    assert_eq!(world.0.len(), 4);
    assert!(world.offer("x").is_empty());
    let of_g = [world.take("a"), world.take("b")];
    assert_eq!(of_g.iter().flatten().count(), 1, "{of_g:?}");
    assert_eq!(world.take("c").as_deref(), Some("x"));
    assert_eq!(world.take("c"), None);
}

#[test]
fn a_pop_that_waits_is_woken_by_what_its_client_is_offered() {
    let world = World(Lite::default());
    world.add("a", "g", &["x"]);
    world.add("b", "g", &["x"]);
    assert_eq!(world.0.wait("b", (100, 1), 7), Ok(()));
    assert_eq!(world.0.wait("nobody", (500, 9), 8), Ok(()));
    assert_eq!(world.offer("x"), [7]);
    assert_eq!(world.0.wait("b", (100, 1), 9), Err(9), "there is something already");
    assert_eq!(world.take("b").as_deref(), Some("x"));
    assert_eq!(world.0.wait("b", (100, 2), 9), Ok(()));
    assert_eq!((world.0.expire(99), world.0.expire(100)), (vec![], vec![9]));
    assert_eq!(world.0.wait("b", (100, 2), 10), Ok(()));
    world.0.forget(2);
    assert!(world.offer("x").is_empty());
    assert_eq!(world.0.drain(), [8], "who reads nothing waits too");
}

#[test]
fn what_a_client_does_not_come_for_is_offered_to_another() {
    let world = World(Lite::default());
    world.add("a", "g", &["x"]);
    world.offer("x");
    assert_eq!((world.0.busy(), world.0.take_back(10_001)), (1, vec![]));
    let left = world.0.take_back(10_002);
    assert_eq!((&*left[0].client, &left[0].queues), ("a", &vec![names::queue("P", "x").unwrap()]));
    assert_eq!((world.0.busy(), world.0.len()), (0, 1));
    world.add("b", "g", &["x"]);
    for _ in 0..2 {
        let (queue, rather_not) = (&left[0].queues[0], Some("a"));
        let offer = Offer { group: None, queue, rather_not, now_ms: 1, again_ms: 50 };
        world.0.offer(offer, |_| 2);
        assert_eq!((world.take("a"), world.take("b").as_deref()), (None, Some("x")));
    }
}

#[test]
fn what_finds_no_room_and_what_is_not_acknowledged_is_offered_again() {
    let world = World(Lite::default());
    world.add("a", "g", &["x", "y", "z"]);
    for queue in ["x", "y", "z", "x"] {
        world.offer(queue);
    }
    assert_eq!((world.take("a").as_deref(), world.take("a").as_deref()), (Some("x"), Some("y")));
    assert_eq!(world.take("a"), None);
    assert!(world.0.due(49).is_empty());
    let due: Vec<Str> = world.0.due(50).into_iter().map(|(_, queue)| queue).collect();
    assert_eq!(due, [names::queue("P", "z").unwrap()]);
    world.0.offer_at(70, "g", &due[0]);
    assert_eq!(world.0.due(70).len(), 1);
}

#[test]
fn who_leaves_gives_back_what_it_was_offered() {
    let world = World(Lite::default());
    world.add("a", "g", &["x"]);
    world.offer("x");
    let (group, offered) = world.0.leave("a").unwrap();
    assert_eq!((&*group, offered), ("g", set(&["x"]).into_iter().collect()));
    assert!(world.0.is_empty() && world.0.leave("a").is_none());
    assert_eq!(world.0.silent(10, 1_000), Vec::<Str>::new());
    world.add("b", "g", &["x"]);
    assert_eq!((world.0.silent(10, 10).len(), world.0.silent(10, 11).len()), (0, 1));
}

#[test]
fn a_group_may_read_all_of_a_parent_topic() {
    let world = World(Lite::default());
    let (client, group, topic) = (s("a"), s("g"), s("P"));
    let who = Who { client: &client, group: &group, topic: &topic, peer: None };
    let all = BTreeSet::from([names::of_all("P", "g")]);
    assert_eq!(world.0.replace(&who, &all, 0).unwrap().len(), 1);
    world.offer("anything");
    assert_eq!(world.take("a").as_deref(), Some("anything"));
    assert_eq!(world.0.replace(&who, &BTreeSet::new(), 0).unwrap().len(), 1);
    world.offer("anything");
    assert_eq!(world.take("a"), None);
}

#[test]
fn an_exclusive_subscriber_takes_a_queue_from_the_others() {
    let world = World(Lite::default());
    world.add("a", "g", &["x"]);
    world.add("b", "h", &["x"]);
    let (client, group, topic) = (s("c"), s("g"), s("P"));
    let who = Who { client: &client, group: &group, topic: &topic, peer: None };
    let queue = names::queue("P", "x").unwrap();
    let excluded = world.0.exclude(&who, &queue);
    assert_eq!(excluded.into_iter().map(|(client, _)| client).collect::<Vec<_>>(), [s("a")]);
    assert_eq!(world.0.readers(&queue), [(s("h"), s("b"))]);
}

#[test]
fn there_is_a_limit_however_subscriptions_come() {
    let world = World(Lite::default());
    world.add("a", "g", &["x", "y"]);
    world.0.table.lock().count = SUBSCRIPTIONS_LIMIT - 1;
    let (client, group, topic) = (s("a"), s("g"), s("P"));
    let who = Who { client: &client, group: &group, topic: &topic, peer: None };
    assert_eq!(world.0.add(&who, &set(&["v", "w"]), 0), Err(Full));
    assert_eq!(world.0.replace(&who, &set(&["u", "v", "w", "x"]), 0), Err(Full));
    assert_eq!(world.0.replace(&who, &set(&["v", "w"]), 0).unwrap().len(), 4);
    assert_eq!(world.0.add(&who, &set(&["v", "x"]), 0).unwrap().len(), 1);
    assert_eq!(world.0.add(&who, &set(&["v", "x"]), 0).unwrap().len(), 0);
    assert_eq!(world.0.add(&who, &set(&["v", "y"]), 0), Err(Full));
}
