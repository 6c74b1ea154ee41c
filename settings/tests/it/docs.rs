//! docs/settings.md is what the tables say.

const WRITTEN: &str = include_str!("../../../docs/settings.md");

#[test]
fn the_document_is_fresh() {
    assert!(
        WRITTEN == settings::docs::markdown(),
        "docs/settings.md is stale; run: cargo run -p settings --example docs > docs/settings.md"
    );
}
