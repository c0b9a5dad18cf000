//! What stands in the parentheses of `#[actor(..)]`.

use proc_macro2::Span;
use syn::{
    Error, Ident, Path, Result, Token, Type, Visibility, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// The arguments, each as it was given.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) message: Option<Ident>,
    pub(crate) client: Option<Ident>,
    pub(crate) error: Option<Type>,
    pub(crate) vis: Option<Visibility>,
    pub(crate) derive: Option<Punctuated<Path, Token![,]>>,
    pub(crate) krate: Option<Path>,
}

const KNOWN: &str = "the arguments of `actor` are `message = Name`, `client = Name`, `error = Type`, `vis = pub`, \
     `derive(Trait, ..)` and `crate = path`";

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            arguments.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.peek(Token![crate]) {
            let span = input.parse::<Token![crate]>()?.span;
            return set(
                &mut self.krate,
                span,
                value(span, input, Path::parse_mod_style)?,
            );
        }
        let name: Ident = input
            .parse()
            .map_err(|error| Error::new(error.span(), KNOWN))?;
        let span = name.span();
        match name.to_string().as_str() {
            "message" => set(&mut self.message, span, value(span, input, Ident::parse)?),
            "client" => set(&mut self.client, span, value(span, input, Ident::parse)?),
            "error" => set(&mut self.error, span, value(span, input, Type::parse)?),
            "vis" => set(&mut self.vis, span, value(span, input, visibility)?),
            "derive" => {
                let traits;
                parenthesized!(traits in input);
                let traits = traits.parse_terminated(Path::parse_mod_style, Token![,])?;
                set(&mut self.derive, span, traits)
            }
            other => Err(Error::new(
                span,
                format!("unknown argument `{other}`: {KNOWN}"),
            )),
        }
    }
}

fn value<T>(
    span: Span,
    input: ParseStream<'_>,
    parse: fn(ParseStream<'_>) -> Result<T>,
) -> Result<T> {
    if input.parse::<Token![=]>().is_err() {
        return Err(Error::new(
            span,
            format!("this argument needs a value: {KNOWN}"),
        ));
    }
    parse(input)
}

fn visibility(input: ParseStream<'_>) -> Result<Visibility> {
    if input.peek(Token![pub]) {
        input.parse()
    } else {
        Err(input.error("a visibility is written `pub`, or `pub(crate)`"))
    }
}

fn set<T>(slot: &mut Option<T>, span: Span, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(
            span,
            "this argument is given twice: leave one out",
        )),
    }
}
