//! What the documentation shows is what is written.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ItemImpl;

/// The tokens, one after the other, without commas before a closing bracket.
fn flat(tokens: TokenStream, into: &mut Vec<String>) {
    for token in tokens {
        let TokenTree::Group(group) = token else {
            if token.to_string() == ">" && into.last().is_some_and(|last| last == ",") {
                into.pop();
            }
            into.push(token.to_string());
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        into.push(open.into());
        flat(group.stream(), into);
        if into.last().is_some_and(|last| last == ",") {
            into.pop();
        }
        into.push(close.into());
    }
}

/// One line for each item or statement, as names are written where they are imported.
fn lines(tokens: TokenStream) -> Vec<String> {
    let mut flattened = Vec::new();
    flat(tokens, &mut flattened);
    let text = flattened
        .join(" ")
        .replace(": : treewarden : : runtime : : ", "")
        .replace(": : core : : fmt : : ", "fmt : : ")
        .replace(": : core : : clone : : ", "")
        .replace(": : core : : convert : : ", "")
        .replace(": : core : : ops : : ", "")
        .replace(": : core : : result : : Result : : ", "")
        .replace(": : core : : result : : ", "");
    text.split_inclusive([';', '{', '}'])
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn what_is_written_by_hand_in_the_docs_is_what_is_generated() {
    let mut block: ItemImpl = syn::parse_str(include_str!("../written/input.rs")).unwrap();
    block.attrs.clear();
    let generated = super::actor(TokenStream::new(), block.into_token_stream());
    let by_hand: TokenStream = include_str!("../written/output.rs").parse().unwrap();
    let (generated, by_hand) = (lines(generated), lines(by_hand));
    for (generated, by_hand) in generated.iter().zip(&by_hand) {
        assert_eq!(generated, by_hand);
    }
    assert_eq!(generated.len(), by_hand.len());
}
