//! The grammar (Java: `SelectorParser`), with what its actions refuse: null in a comparison, texts
//! and truth values by size, a range upside down. What stands behind a whole expression is passed
//! over if its first token is one, as in Java.

use crate::evaluate;
use crate::expression::{
    Between, Constant, Expression, MAX_DEPTH, MAX_SOURCE_BYTES, Node, Order, Place, Search,
};
use crate::number;
use crate::token::{Sign, Token, Tokens, Word};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Why a source is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in bytes from the start.
    pub at: usize,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.why)
    }
}

impl std::error::Error for ParseError {}

/// A node, and how deep it is.
#[derive(Clone, Debug)]
struct Tree {
    node: Node,
    depth: usize,
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    token: Token<'a>,
    /// Where the token begins.
    at: usize,
    /// Signs, `NOT`s and brackets that are open.
    open: usize,
    /// Where each property stands among those met so far.
    names: BTreeMap<(usize, &'a str), usize>,
}

type Parsed<T = Tree> = Result<T, ParseError>;

pub(crate) fn parse(source: &str) -> Parsed<Expression> {
    if source.len() > MAX_SOURCE_BYTES {
        let why = "an expression has at most 16384 bytes";
        return Err(ParseError { at: MAX_SOURCE_BYTES, why });
    }
    let tokens = Tokens::new(source);
    let mut parser = Parser { tokens, token: Token::End, at: 0, open: 0, names: BTreeMap::new() };
    parser.next()?;
    let tree = parser.any()?;
    let mut root = parser.as_boolean(tree)?.node;
    // The names are sorted, so that a message's properties are found among them; by their lengths
    // first, which tells most of them apart.
    let mut places = vec![0; parser.names.len()];
    for (sorted, place) in parser.names.values().enumerate() {
        places[*place] = sorted;
    }
    root.renumber(&places);
    Ok(Expression { root, names: parser.names.into_keys().map(|(_, name)| name.into()).collect() })
}

impl Node {
    /// Gives each property its place among the sorted names.
    fn renumber(&mut self, places: &[usize]) {
        match self {
            Self::Constant(_) => {}
            Self::Property(place) | Self::Cast(place) | Self::In { property: place, .. } => {
                *place = places[*place];
            }
            Self::Negate(node) | Self::Not(node) | Self::IsNull(node) => node.renumber(places),
            Self::All(nodes) | Self::Any(nodes) => {
                nodes.iter_mut().for_each(|node| node.renumber(places));
            }
            Self::Equal(left, right) | Self::Order(_, left, right) => {
                left.renumber(places);
                right.renumber(places);
            }
            Self::Between(between) => {
                between.value.renumber(places);
                between.low.renumber(places);
                between.high.renumber(places);
            }
            Self::Search(search) => search.value.renumber(places),
        }
    }
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Parsed<Token<'a>> {
        let (token, at) = self
            .tokens
            .next()
            .map_err(|at| ParseError { at, why: "no part of an expression begins here" })?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn error<T>(&self, why: &'static str) -> Parsed<T> {
        Err(ParseError { at: self.at, why })
    }

    fn expect(&mut self, token: Token<'static>, why: &'static str) -> Parsed<()> {
        if self.token != token {
            return self.error(why);
        }
        self.next().map(drop)
    }

    /// Takes the token if it is this one.
    fn take(&mut self, token: Token<'static>) -> Parsed<bool> {
        let is = self.token == token;
        if is {
            self.next()?;
        }
        Ok(is)
    }

    /// A node above others.
    fn above(&self, node: Node, depth: usize) -> Parsed {
        if depth >= MAX_DEPTH {
            return self.error("an expression is nested at most 64 deep");
        }
        Ok(Tree { node, depth: depth + 1 })
    }

    fn as_boolean(&self, tree: Tree) -> Parsed {
        match tree.node {
            Node::Property(place) => Ok(Tree { node: Node::Cast(place), depth: tree.depth }),
            ref node if node.is_boolean() => Ok(tree),
            _ => self.error("what stands before this is no truth value"),
        }
    }

    fn any(&mut self) -> Parsed {
        self.chain(Word::Or, Self::all, Node::Any)
    }

    fn all(&mut self) -> Parsed {
        self.chain(Word::And, Self::equality, Node::All)
    }

    /// One part, or several with a word between them.
    fn chain(
        &mut self,
        word: Word,
        part: fn(&mut Self) -> Parsed,
        join: fn(Vec<Node>) -> Node,
    ) -> Parsed {
        let first = part(self)?;
        if self.token != Token::Word(word) {
            return Ok(first);
        }
        let (mut nodes, mut depth) = (Vec::new(), 0);
        let mut push = |parser: &Self, tree: Tree| {
            let tree = parser.as_boolean(tree)?;
            depth = depth.max(tree.depth);
            nodes.push(tree.node);
            Ok(())
        };
        let mut waiting = first;
        while self.take(Token::Word(word))? {
            let right = part(self)?;
            push(self, waiting)?;
            waiting = right;
        }
        push(self, waiting)?;
        self.above(join(nodes), depth)
    }

    fn equality(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        loop {
            left = match self.token {
                Token::Sign(sign @ (Sign::Equal | Sign::NotEqual)) => {
                    self.next()?;
                    let right = self.comparison()?;
                    let equal = self.equal(left, right)?;
                    self.not_if(sign == Sign::NotEqual, equal)?
                }
                Token::Word(Word::Is) => {
                    self.next()?;
                    let not = self.take(Token::Word(Word::Not))?;
                    self.expect(Token::Word(Word::Null), "NULL or NOT NULL was expected")?;
                    let is = self.above(Node::IsNull(Box::new(left.node)), left.depth)?;
                    self.not_if(not, is)?
                }
                _ => return Ok(left),
            };
        }
    }

    fn not_if(&self, not: bool, tree: Tree) -> Parsed {
        match not {
            true => self.above(Node::Not(Box::new(tree.node)), tree.depth),
            false => Ok(tree),
        }
    }

    fn equal(&self, left: Tree, right: Tree) -> Parsed {
        use Constant::{Null, Truth};
        match (&left.node, &right.node) {
            (Node::Constant(Null), _) | (_, Node::Constant(Null)) => {
                return self.error("NULL cannot be compared: IS NULL asks for it");
            }
            (Node::Constant(Truth(_)), Node::Constant(right)) if !matches!(right, Truth(_)) => {
                return self.error("a truth value cannot be compared with this");
            }
            _ => {}
        }
        let depth = left.depth.max(right.depth);
        self.above(Node::Equal(Box::new(left.node), Box::new(right.node)), depth)
    }

    fn comparison(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let not = self.take(Token::Word(Word::Not))?;
            left = match self.token {
                Token::Sign(sign) if !not && order(sign).is_some() => {
                    self.next()?;
                    let right = self.unary()?;
                    self.check_number(&left.node)?;
                    self.check_number(&right.node)?;
                    let depth = left.depth.max(right.depth);
                    let order = order(sign).unwrap_or(Order::Less);
                    let (left, right) = (Box::new(left.node), Box::new(right.node));
                    self.above(Node::Order(order, left, right), depth)?
                }
                Token::Word(Word::Contains) => self.search(left, Place::Anywhere, not)?,
                Token::Word(Word::StartsWith) => self.search(left, Place::Start, not)?,
                Token::Word(Word::EndsWith) => self.search(left, Place::End, not)?,
                Token::Word(Word::Between) => self.between(left, not)?,
                Token::Word(Word::In) => self.one_of(&left, not)?,
                _ if not => {
                    return self.error(
                        "CONTAINS, STARTSWITH, ENDSWITH, BETWEEN or IN was expected behind NOT",
                    );
                }
                _ => return Ok(left),
            };
        }
    }

    fn search(&mut self, left: Tree, place: Place, not: bool) -> Parsed {
        self.next()?;
        let text = self.text()?;
        let search = Search { value: left.node, place, text, not };
        self.above(Node::Search(Box::new(search)), left.depth)
    }

    fn between(&mut self, value: Tree, not: bool) -> Parsed {
        self.next()?;
        let low = self.unary()?;
        self.expect(Token::Word(Word::And), "AND was expected between the ends of a range")?;
        let high = self.unary()?;
        for end in [&value, &low, &high] {
            self.check_number(&end.node)?;
        }
        if let (false, Node::Constant(low), Node::Constant(high)) = (not, &low.node, &high.node)
            && !evaluate::is_range(low, high)
        {
            return self.error("the ends of a range must not stand upside down");
        }
        let depth = value.depth.max(low.depth).max(high.depth);
        let (value, low, high) = (value.node, low.node, high.node);
        self.above(Node::Between(Box::new(Between { value, low, high, not })), depth)
    }

    fn one_of(&mut self, left: &Tree, not: bool) -> Parsed {
        self.next()?;
        self.expect(Token::Sign(Sign::Open), "( was expected behind IN")?;
        let mut texts = HashSet::from([self.text()?]);
        while self.take(Token::Sign(Sign::Comma))? {
            texts.insert(self.text()?);
        }
        self.expect(Token::Sign(Sign::Close), "a comma or ) was expected")?;
        let Node::Property(property) = left.node else {
            return self.error("IN asks for properties only");
        };
        self.above(Node::In { property, not, texts }, left.depth)
    }

    /// Numbers, properties and what has a minus before it may be compared by size.
    fn check_number(&self, node: &Node) -> Parsed<()> {
        match node {
            Node::Constant(Constant::Int(_) | Constant::Long(_) | Constant::Double(_)) => Ok(()),
            Node::Property(_) | Node::Negate(_) => Ok(()),
            _ => self.error("only properties and numbers can be compared by size"),
        }
    }

    fn unary(&mut self) -> Parsed {
        if self.open >= MAX_DEPTH {
            return self.error("an expression is nested at most 64 deep");
        }
        self.open += 1;
        let tree = match self.token {
            Token::Sign(Sign::Plus) => {
                self.next()?;
                self.unary()?
            }
            Token::Sign(Sign::Minus) => {
                self.next()?;
                let right = self.unary()?;
                self.above(Node::Negate(Box::new(right.node)), right.depth)?
            }
            Token::Word(Word::Not) => {
                self.next()?;
                let right = self.unary()?;
                let right = self.as_boolean(right)?;
                self.above(Node::Not(Box::new(right.node)), right.depth)?
            }
            Token::Sign(Sign::Open) => {
                self.next()?;
                let within = self.any()?;
                self.expect(Token::Sign(Sign::Close), ") was expected")?;
                within
            }
            _ => self.leaf()?,
        };
        self.open -= 1;
        Ok(tree)
    }

    fn leaf(&mut self) -> Parsed {
        let node = match self.token {
            Token::Name(name) => {
                let next = self.names.len();
                Node::Property(*self.names.entry((name.len(), name)).or_insert(next))
            }
            Token::Text(text) => Node::Constant(Constant::Text(text.replace("''", "'").into())),
            Token::Whole(text) => Node::Constant(self.whole(text)?),
            Token::Float(text) => match number::double(text) {
                Some(number) if number.is_finite() && number > 0.0 => {
                    Node::Constant(Constant::Double(number))
                }
                _ => return self.error("a number above 0, no larger than a double, was expected"),
            },
            Token::Word(Word::True) => Node::Constant(Constant::Truth(true)),
            Token::Word(Word::False) => Node::Constant(Constant::Truth(false)),
            Token::Word(Word::Null) => Node::Constant(Constant::Null),
            _ => return self.error("a value was expected"),
        };
        self.next()?;
        Ok(Tree { node, depth: 1 })
    }

    fn whole(&self, text: &str) -> Parsed<Constant> {
        let Some(number) = number::long(text.trim_end_matches(['l', 'L'])) else {
            return self.error("a whole number of at most 9223372036854775807 was expected");
        };
        Ok(i32::try_from(number).map_or(Constant::Long(number), Constant::Int))
    }

    fn text(&mut self) -> Parsed<Box<str>> {
        let Token::Text(text) = self.token else {
            return self.error("a text in quotes was expected");
        };
        self.next()?;
        Ok(text.replace("''", "'").into())
    }
}

fn order(sign: Sign) -> Option<Order> {
    Some(match sign {
        Sign::Greater => Order::Greater,
        Sign::GreaterEqual => Order::GreaterEqual,
        Sign::Less => Order::Less,
        Sign::LessEqual => Order::LessEqual,
        _ => return None,
    })
}
