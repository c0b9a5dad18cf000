//! What there is, and how much of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use treewarden::prelude::*;
use treewarden::runtime::Shedding;

pub(super) type ProductId = u32;

/// How many of which.
pub(super) type Line = (ProductId, u32);

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) name: &'static str,
    pub(super) price_cents: u64,
    pub(super) stock: u32,
}

pub(super) enum Msg {
    List(Reply<Vec<Product>>),
    /// Takes goods for an order out of the stock, all or none, and tells what they cost together.
    Reserve {
        order: u64,
        lines: Vec<Line>,
        reply: Reply<Result<u64, OutOfStock>>,
    },
    /// Puts back what was taken for an order, if anything was.
    Release(u64, Reply<()>),
    /// The goods of an order have been sold.
    Sold(u64),
    Crash,
}

/// There is not so much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfStock(pub(super) ProductId);

#[derive(Clone)]
struct Catalogue {
    products: Vec<Product>,
    /// By order.
    reserved: HashMap<u64, Vec<Line>>,
}

/// What it knows outlives a crash beside the actor, as in a database.
pub(super) fn child() -> Child {
    let products = [("tea", 450), ("cup", 900), ("pot", 2500)];
    let products = (1..).zip(products);
    let products = products.map(|(id, (name, price_cents))| Product {
        id,
        name,
        price_cents,
        stock: 100_000,
    });
    let store = Arc::new(Mutex::new(Catalogue {
        products: products.collect(),
        reserved: HashMap::new(),
    }));
    Child::actor("catalogue", move |_| {
        let store = store.clone();
        async move { Ok(Keeper(store)) }
    })
    .mailbox(Mailbox::bounded(1024).shed(Shedding::adaptive()))
    .drain(true)
}

struct Keeper(Arc<Mutex<Catalogue>>);

impl Actor for Keeper {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        let stored = self.0.lock();
        let mut catalogue = stored.unwrap_or_else(|poisoned| poisoned.into_inner());
        match msg {
            Msg::List(reply) => reply.send(catalogue.products.clone()),
            Msg::Reserve {
                order,
                lines,
                reply,
            } => reply.send(catalogue.reserve(order, lines)),
            Msg::Release(order, reply) => {
                catalogue.release(order);
                reply.send(());
            }
            Msg::Sold(order) => drop(catalogue.reserved.remove(&order)),
            Msg::Crash => return Err(Failure::msg("somebody asked for a crash")),
        }
        Ok(())
    }
}

impl Catalogue {
    fn reserve(&mut self, order: u64, lines: Vec<Line>) -> Result<u64, OutOfStock> {
        // All is tried on a copy: all or none.
        let mut products = self.products.clone();
        let mut total_cents = 0;
        for &(id, amount) in &lines {
            let product = products.iter_mut().find(|product| product.id == id);
            let product = product.filter(|product| product.stock >= amount);
            let product = product.ok_or(OutOfStock(id))?;
            product.stock -= amount;
            total_cents += product.price_cents * u64::from(amount);
        }
        self.products = products;
        self.reserved.insert(order, lines);
        Ok(total_cents)
    }

    fn release(&mut self, order: u64) {
        for (id, amount) in self.reserved.remove(&order).unwrap_or_default() {
            if let Some(product) = self.products.iter_mut().find(|product| product.id == id) {
                product.stock += amount;
            }
        }
    }
}
