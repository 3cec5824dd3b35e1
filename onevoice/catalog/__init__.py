"""What is sold and what was bought: products, orders, order lines, and what a customer buys most often."""
