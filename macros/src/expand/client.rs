//! The client.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::{
    input::{Input, Names},
    method::Method,
};

pub(super) fn expand(input: &Input) -> TokenStream {
    let names = &input.names;
    let Names {
        client,
        vis,
        generics,
        runtime,
        cfgs,
        ..
    } = names;
    let message = names.message_type();
    let (bounds, params, where_clause) = generics.split_for_impl();
    let doc = format!(
        " A reference to a `{}`, with a method for each message.",
        names.actor
    );
    let methods = input.methods.iter().map(|method| match method.answer() {
        None => tell(method, names),
        Some(answer) => ask(method, answer, names),
    });
    let implement = |of: TokenStream, items: TokenStream| {
        quote! {
            #(#cfgs)*
            impl #bounds #of #where_clause {
                #items
            }
        }
    };
    let own = implement(
        quote!(#client #params),
        quote! {
            #(#methods)*

            #[doc = " The reference itself."]
            #vis fn actor_ref(&self) -> &#runtime::ActorRef<#message> {
                &self.0
            }
        },
    );
    let clone = implement(
        quote!(::core::clone::Clone for #client #params),
        quote! {
            fn clone(&self) -> Self {
                Self(::core::clone::Clone::clone(&self.0))
            }
        },
    );
    let debug = implement(
        quote!(::core::fmt::Debug for #client #params),
        quote! {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.0, f)
            }
        },
    );
    let from = implement(
        quote!(::core::convert::From<#runtime::ActorRef<#message>> for #client #params),
        quote! {
            fn from(actor: #runtime::ActorRef<#message>) -> Self {
                Self(actor)
            }
        },
    );
    let into = implement(
        quote!(::core::convert::From<#client #params> for #runtime::ActorRef<#message>),
        quote! {
            fn from(client: #client #params) -> Self {
                client.0
            }
        },
    );
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #[allow(dead_code)]
        #vis struct #client #bounds (#runtime::ActorRef<#message>) #where_clause;

        #[allow(dead_code, clippy::all)]
        #own
        #clone
        #debug
        #from
        #into
    }
}

fn tell(method: &Method, names: &Names) -> TokenStream {
    let Names { runtime, .. } = names;
    let Method { name, vis, .. } = method;
    let message = names.message_type();
    let arguments = arguments(method);
    let made = made(method, names, None);
    let attributes = method.attributes(&["cfg", "deprecated"]);
    let doc = method.doc(&names.actor);
    // The calls lie at the method, so that errors are shown there.
    let tell = quote_spanned!(name.span()=> self.0.tell(#made));
    let try_tell = quote_spanned!(name.span()=> self.0.try_tell(#made));
    let try_name = method.try_name();
    let try_doc = format!(
        " [`{name}`](Self::{name}) without waiting: a message that is not accepted is handed back.",
    );
    quote! {
        #attributes
        #doc
        #vis fn #name(&self #arguments) -> #runtime::Tell<'_, #message> {
            #tell
        }

        #attributes
        #[doc = #try_doc]
        #vis fn #try_name(&self #arguments) -> ::core::result::Result<(), #runtime::TellError<#message>> {
            #try_tell
        }
    }
}

fn ask(method: &Method, answer: &syn::Type, names: &Names) -> TokenStream {
    let Names { runtime, .. } = names;
    let Method { name, vis, .. } = method;
    let message = names.message_type();
    let arguments = arguments(method);
    let attributes = method.attributes(&["cfg", "deprecated"]);
    let doc = method.doc(&names.actor);
    let reply = Ident::new("reply", Span::mixed_site());
    let question = if method.fields().next().is_some() {
        let made = made(method, names, Some(&reply));
        quote!(move |#reply| #made)
    } else {
        made(method, names, None)
    };
    let ask = quote_spanned!(name.span()=> self.0.ask(#question));
    quote! {
        #attributes
        #doc
        #vis fn #name(&self #arguments) -> #runtime::Ask<
            '_,
            #message,
            #answer,
            impl ::core::ops::FnOnce(#runtime::Reply<#answer>) -> #message,
        > {
            #ask
        }
    }
}

/// `, n: u64`
fn arguments(method: &Method) -> TokenStream {
    let fields = method.fields().map(|(name, ty)| quote!(, #name: #ty));
    fields.collect()
}

/// `CounterMsg::Add(n)`
fn made(method: &Method, names: &Names, reply: Option<&Ident>) -> TokenStream {
    let message = &names.message;
    let variant = &method.variant;
    let fields: Vec<_> = method.fields().map(|(name, _)| name).chain(reply).collect();
    if fields.is_empty() {
        quote!(#message::#variant)
    } else {
        quote!(#message::#variant(#(#fields),*))
    }
}
