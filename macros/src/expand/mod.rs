//! What is written out: the enum, the client and the dispatch.

mod client;
mod dispatch;
mod message;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, MetaNameValue};

use crate::{
    arguments::Arguments,
    input::{Input, Names, Output},
    method::Method,
};

/// The whole of what stands in place of the block.
pub(crate) fn actor(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let Output { input, error } = Input::read(syn::parse2::<Arguments>(arguments), item);
    let error = error.map(syn::Error::into_compile_error);
    match input {
        Ok(input) => {
            let block = &input.block;
            let message = message::expand(&input);
            let dispatch = dispatch::expand(&input);
            let client = client::expand(&input);
            quote!(#error #block #message #dispatch #client)
        }
        Err(rest) => quote!(#error #rest),
    }
}

impl Names {
    /// The enum as a type.
    fn message_type(&self) -> TokenStream {
        let name = &self.message;
        let (_, generics, _) = self.generics.split_for_impl();
        quote!(#name #generics)
    }
}

impl Method {
    fn attributes(&self, names: &[&str]) -> TokenStream {
        self.attributes
            .iter()
            .filter(|attribute| is_one_of(attribute, names))
            .map(ToTokens::to_token_stream)
            .collect()
    }

    /// Its documentation, with links from `Self` that lead to the actor, or a line that says where it would be.
    fn doc(&self, actor: &Ident) -> TokenStream {
        let mut docs = self
            .attributes
            .iter()
            .filter(|attribute| is_one_of(attribute, &["doc"]))
            .peekable();
        if docs.peek().is_none() {
            let line = format!(" See `{actor}::{}`.", self.name);
            return quote!(#[doc = #line]);
        }
        docs.map(|doc| match text(doc) {
            Some(line) if line.value().contains("Self::") => {
                let line = line.value().replace("Self::", &format!("{actor}::"));
                quote!(#[doc = #line])
            }
            _ => quote!(#doc),
        })
        .collect()
    }
}

/// The line of a `doc` attribute.
fn text(doc: &Attribute) -> Option<&LitStr> {
    match &doc.meta {
        Meta::NameValue(MetaNameValue {
            value:
                Expr::Lit(ExprLit {
                    lit: Lit::Str(line),
                    ..
                }),
            ..
        }) => Some(line),
        _ => None,
    }
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}
