/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A parser's bursts: a document becomes a tree of nodes with names and texts, is read once, and is
 * freed as a whole; then comes the next one, of another size.
 */
#include "workload.h"

enum { NODES_MIN = 1000, NODES_MAX = 60000 };

struct node {
	struct node *child, *sibling, *parent;
	char *name, *text;
};

static struct node *make_node(struct worker *self, struct node *parent)
{
	struct node *node = take(self, sizeof(*node));

	if (!node)
		return NULL;
	*node = (struct node){.parent = parent, .name = take(self, random_between(self, 4, 33))};
	if (random_next(self) >> 62)
		node->text = take(self, random_size(self, 4, 10));
	if (parent) {
		node->sibling = parent->child;
		parent->child = node;
	}
	return node;
}

/* Down, on, or up again, as start tags and end tags have it. */
static struct node *parse(struct worker *self, size_t nodes)
{
	struct node *root = make_node(self, NULL), *at = root;

	for (size_t i = 1; i < nodes && at; i++) {
		struct node *node = make_node(self, at);

		switch (random_next(self) >> 62) {
		case 0:
			at = node ? node : at;
			break;
		case 1:
			at = at->parent ? at->parent : at;
			break;
		default:
			break;
		}
	}
	return root;
}

/* The node after this one where a node comes after all that is below it. */
static struct node *deepest(struct node *node)
{
	while (node->child)
		node = node->child;
	return node;
}

static void free_tree(struct worker *self, struct node *root)
{
	struct node *node = root ? deepest(root) : NULL;

	while (node) {
		struct node *next = node->sibling ? deepest(node->sibling) : node->parent;

		self->check += node->text ? (unsigned char)*node->text : 1;
		free(node->name);
		free(node->text);
		free(node);
		node = next;
	}
}

static void run(struct worker *self)
{
	for (uint64_t left = self->rounds; left;) {
		size_t nodes = random_between(self, NODES_MIN, NODES_MAX);

		nodes = nodes < left ? nodes : (size_t)left;
		free_tree(self, parse(self, nodes));
		left -= nodes;
	}
}

const struct workload parser_workload = {.name = "parser", .rounds = 2000000, .run = run};
