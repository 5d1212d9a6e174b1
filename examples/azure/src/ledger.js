// What the functions of the app share: the orders that this instance has seen.
const orders = new Map();

module.exports = {
  add: (order) => void orders.set(String(order.id), order),
  find: (id) => orders.get(String(id)),
  all: () => [...orders.values()],
};
