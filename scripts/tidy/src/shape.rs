//! Rules on the shape of Rust code: what each file, function and name has to look like.
//!
//! Files are parsed, so that text in strings and comments does not count; what stands inside a
//! macro's braces is read as tokens.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::repo::{self, Finding};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 70;
const TEST_MODULE_LINES: usize = 150;

/// Files longer than the limit because they are one table. The list may only shrink: an entry
/// that is not needed fails.
const TABLES: &[&str] = &[];

/// The one door to the operating system's memory maps.
const UNSAFE_DOORS: &[&str] =
    &["store/src/disk/os.rs", "fuzz-targets/tests/it/memory.rs", "broker/tests/memory/counted.rs"];

/// Programs that wait for another process, which nothing can announce to them.
const MAY_SLEEP: &[&str] = &["bench/src/contest/", "compat-tests/"];

/// Layer words say nothing about messaging; find the noun.
const LAYER_WORDS: &[&str] = &["Manager", "Helper", "Util", "Context", "Impl"];

fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut look = Look { path, in_test: repo::is_test(path), test_lines: 0, findings: Vec::new() };
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => {
            return vec![Finding::new(path, error.span().start().line, error.to_string())];
        }
    };
    if !text.starts_with("//!") {
        look.find(1, "begin with `//!`: what this file is, and what it is not");
    }
    look.visit_file(&file);
    let lines = text.lines().count() - look.test_lines;
    if lines > FILE_LINES && !repo::is_test(path) && !TABLES.contains(&path) {
        look.find(
            1,
            &format!("{lines} lines without tests: split the file, {FILE_LINES} is the end"),
        );
    }
    look.findings
}

struct Look<'a> {
    path: &'a str,
    in_test: bool,
    /// Lines of inline test modules, which do not count as the file's.
    test_lines: usize,
    findings: Vec<Finding>,
}

impl Look<'_> {
    fn find(&mut self, line: usize, what: &str) {
        self.findings.push(Finding::new(self.path, line, what));
    }

    fn in_test(&mut self, test: bool, visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= test;
        visit(self);
        self.in_test = before;
    }

    fn name(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        let word = LAYER_WORDS.iter().find(|word| text.contains(*word)).copied();
        let word = word.or_else(|| text.ends_with("Service").then_some("Service"));
        if let Some(word) = word {
            self.find(
                line(name),
                &format!("{text}: {word} is a layer, not a thing; name the thing"),
            );
        }
    }

    fn length(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - line(signature);
        if lines > FUNCTION_LINES {
            let what = format!(
                "{}: {lines} lines; split it, {FUNCTION_LINES} is the end",
                signature.ident
            );
            self.find(line(signature), &what);
        }
        if signature.unsafety.is_some() {
            self.unsafe_at(line(signature));
        }
    }

    fn unsafe_at(&mut self, line: usize) {
        if !UNSAFE_DOORS.contains(&self.path) {
            self.find(line, "unsafe: it belongs behind the store's door, store/src/disk/os.rs");
        }
    }

    fn sleep_at(&mut self, line: usize) {
        if !MAY_SLEEP.iter().any(|allowed| self.path.starts_with(allowed)) {
            self.find(line, "a thread must not sleep: wait for the event itself");
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut after_dot = false;
        for token in tokens {
            match &token {
                TokenTree::Ident(word) if word == "unsafe" => self.unsafe_at(line(word)),
                TokenTree::Ident(word) if word == "unwrap" && after_dot => {
                    self.unwrap_at(line(word))
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            after_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        }
    }

    fn unwrap_at(&mut self, line: usize) {
        if !self.in_test {
            self.find(line, "unwrap outside tests: use `?`, or expect(\"the invariant\")");
        }
    }
}

impl<'ast> Visit<'ast> for Look<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let test = is_for_tests(&module.attrs);
        if test && module.content.is_some() {
            let lines = module.span().end().line + 1 - line(module);
            self.test_lines += lines;
            if lines > TEST_MODULE_LINES {
                let what = format!("{lines} lines of tests: move them to a file of their own");
                self.find(line(module), &what);
            }
        }
        self.in_test(test, |look| visit::visit_item_mod(look, module));
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.length(&function.sig, &function.block);
        let test = is_for_tests(&function.attrs);
        self.in_test(test, |look| visit::visit_item_fn(look, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.length(&function.sig, &function.block);
        let test = is_for_tests(&function.attrs);
        self.in_test(test, |look| visit::visit_impl_item_fn(look, function));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.unsafe_at(line(item));
        }
        let test = is_for_tests(&item.attrs);
        self.in_test(test, |look| visit::visit_item_impl(look, item));
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_at(line(block));
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() {
            self.unwrap_at(line(&call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut last = path.segments.iter().rev().map(|segment| &segment.ident);
        if last.next().is_some_and(|name| name == "sleep")
            && last.next().is_some_and(|name| name == "thread")
        {
            self.sleep_at(line(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if path.ident == "thread" && path.tree.to_token_stream().to_string().contains("sleep") {
            self.sleep_at(line(path));
        }
        visit::visit_use_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        if name == "todo" || name == "unimplemented" {
            self.find(line(call), "unfinished: write it, or leave the door out until it is there");
        }
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            self.find(line(attribute), "an ignored test proves nothing: mend or remove it");
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name(&item.ident);
        visit::visit_item_type(self, item);
    }
}

fn line(spanned: &impl Spanned) -> usize {
    spanned.span().start().line
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test"
                || condition.starts_with("all (test")
                || condition.starts_with("all(test")
        }
        meta => meta.path().segments.last().is_some_and(|last| last.ident == "test"),
    })
}

#[test]
fn code_is_in_shape() {
    let files = repo::rust_files();
    let findings: Vec<_> = files.iter().flat_map(|(path, text)| check(path, text)).collect();
    repo::verdict(&findings);
}

#[test]
fn exceptions_are_still_needed() {
    for path in TABLES {
        let lines = repo::text(path).map_or(0, |text| text.lines().count());
        assert!(lines > FILE_LINES, "{path} has {lines} lines: strike it from TABLES");
    }
}

#[test]
fn each_rule_can_fail() {
    let long = format!("//! .\nfn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES));
    let deep = format!("//! .\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(TEST_MODULE_LINES));
    let vast = format!("//! .\n{}", "const A: u8 = 0;\n".repeat(FILE_LINES));
    let bad = [
        "fn f() {}\n",
        "//! .\nfn f() { g().unwrap() }\n",
        "//! .\nfn f() { println!(\"{}\", g().unwrap()) }\n",
        "//! .\nfn f() { unsafe { g() } }\n",
        "//! .\nmacro_rules! m { () => { unsafe { g() } } }\n",
        "//! .\nfn f() { todo!() }\n",
        "//! .\n#[ignore]\nfn f() {}\n",
        "//! .\nstruct TopicManager;\n",
        "//! .\ntrait SendService {}\n",
        "//! .\nfn f() { std::thread::sleep(d) }\n",
        "//! .\nuse std::thread::{self, sleep};\n",
        &long,
        &deep,
        &vast,
    ];
    for bad in bad {
        assert_eq!(check("a/src/lib.rs", bad).len(), 1, "{bad}");
    }
}

#[test]
fn tests_may_unwrap_and_mark_may_not_deceive() {
    let fine = "//! .\n#[cfg(test)]\nmod tests { fn f() { g().unwrap() } }\n";
    assert_eq!(check("a/src/lib.rs", fine).len(), 0);
    let not = "//! .\n#[cfg(not(test))]\nmod live { fn f() { g().unwrap() } }\n";
    assert_eq!(check("a/src/lib.rs", not).len(), 1);
    let text = "//! .\nconst A: &str = \"unsafe .unwrap()\";\n// unsafe\n";
    assert_eq!(check("a/src/lib.rs", text).len(), 0);
}
